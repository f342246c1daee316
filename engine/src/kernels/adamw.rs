//! Parameter updates, and the norm that clipping needs. Formulas: `torch.optim`.

use super::LANES;
use super::gemm::Element;
use crate::rng::{Noise, Stream};
use rayon::prelude::*;

/// Piece of a tensor that one task updates; also the unit of summation of the norm.
const PIECE: usize = 1 << 15;

/// Numbers that are the same for every value in one step of Adam.
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    /// Learning rate divided by `1 − beta1^t`.
    pub step_size: f32,
    /// `1 / √(1 − beta2^t)`.
    pub root_correction: f32,
    /// Decoupled decay: weights are multiplied by `1 − this` (AdamW).
    pub shrink: f32,
    /// Coupled decay: this times the weight is added to the gradient (Adam).
    pub coupled: f32,
    /// Gradients are multiplied by this first (averaging and clipping).
    pub gradient_scale: f32,
}

#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn adam_piece<E: Element>(w: &mut [f32], g: &mut [E], m: &mut [E], v: &mut [E], s: AdamStep, noise: Noise) {
    for (i, (((w, g), m), v)) in w.iter_mut().zip(g).zip(m).zip(v).enumerate() {
        let gradient = g.to_f32() * s.gradient_scale + s.coupled * *w;
        *g = E::ZERO;
        let first = m.to_f32() + (1.0 - s.beta1) * (gradient - m.to_f32());
        let second = s.beta2 * v.to_f32() + (1.0 - s.beta2) * gradient * gradient;
        let noise = noise.bits(i as u32);
        *m = E::drawn(first, noise);
        *v = E::drawn(second, noise >> 16);
        *w = *w * (1.0 - s.shrink) - s.step_size * first / (second.sqrt() * s.root_correction + s.eps);
    }
}

#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn sgd_piece<E: Element>(w: &mut [f32], g: &mut [E], rate: f32, decay: f32, gradient_scale: f32) {
    for (w, g) in w.iter_mut().zip(g) {
        *w -= rate * (g.to_f32() * gradient_scale + decay * *w);
        *g = E::ZERO;
    }
}

#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn sum_of_squares_piece<E: Element>(g: &[E]) -> f32 {
    let (chunks, rest) = g.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] += chunk[i].to_f32() * chunk[i].to_f32();
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|g| g.to_f32() * g.to_f32()).sum::<f32>()
}

/// One step of Adam or AdamW; sets the gradient to zero for the next one. Moments in bf16 are rounded by chance, with
/// `noise`: a second moment changes by a thousandth in a step, which the nearest bf16 would never show.
pub fn adam<E: Element>(w: &mut [f32], g: &mut [E], m: &mut [E], v: &mut [E], step: AdamStep, noise: Stream) {
    w.par_chunks_mut(PIECE)
        .zip(g.par_chunks_mut(PIECE))
        .zip(m.par_chunks_mut(PIECE))
        .zip(v.par_chunks_mut(PIECE))
        .enumerate()
        .for_each(|(i, (((w, g), m), v))| adam_piece(w, g, m, v, step, Noise::new(noise, i as u64)));
}

/// One step of plain gradient descent with coupled decay; sets the gradient to zero for the next one.
pub fn sgd<E: Element>(w: &mut [f32], g: &mut [E], rate: f32, decay: f32, gradient_scale: f32) {
    w.par_chunks_mut(PIECE)
        .zip(g.par_chunks_mut(PIECE))
        .for_each(|(w, g)| sgd_piece(w, g, rate, decay, gradient_scale));
}

/// Sum of squares; NaN or infinite if a value is.
pub fn sum_of_squares<E: Element>(g: &[E]) -> f64 {
    // Collected before adding, so that the order is fixed.
    let pieces: Vec<f64> = g.par_chunks(PIECE).map(|piece| f64::from(sum_of_squares_piece(piece))).collect();
    pieces.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    /// The nearest bf16 to 0.999 · v + 0.001 · g² is v itself long before v is near to g².
    #[test]
    fn moments_in_bf16_get_where_those_in_f32_do() {
        let step = AdamStep {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            step_size: 0.0,
            root_correction: 1.0,
            shrink: 0.0,
            coupled: 0.0,
            gradient_scale: 1.0,
        };
        let (n, gradient) = (4096, 0.3);
        let (mut w, mut m, mut v) = (vec![0.0; n], vec![bf16::ZERO; n], vec![bf16::ZERO; n]);
        let steps = 2000;
        for t in 0..steps {
            let mut g = vec![bf16::from_f32(gradient); n];
            adam(&mut w, &mut g, &mut m, &mut v, step, Stream::new(t));
            assert!(g.iter().all(|g| *g == bf16::ZERO));
        }
        let gradient = bf16::from_f32(gradient).to_f64();
        let mean = |x: &[bf16]| x.iter().map(|x| x.to_f64()).sum::<f64>() / n as f64;
        let wanted = gradient * gradient * (1.0 - 0.999f64.powi(steps as i32));
        assert!((mean(&m) / gradient - 1.0).abs() < 1e-3, "{}", mean(&m));
        assert!((mean(&v) / wanted - 1.0).abs() < 1e-2, "{} {wanted}", mean(&v));
        let spread = v.iter().map(|v| (v.to_f64() / wanted - 1.0).powi(2)).sum::<f64>() / n as f64;
        assert!(spread.sqrt() < 0.08, "{}", spread.sqrt());
    }
}
