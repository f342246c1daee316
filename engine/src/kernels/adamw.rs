//! Parameter updates, and the norm that clipping needs. Formulas: `torch.optim`.

use super::math::dot;
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

vectorised! {
    fn adam_piece(w: &mut [f32], g: &mut [f32], m: &mut [f32], v: &mut [f32], s: AdamStep) {
        for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let gradient = *g * s.gradient_scale + s.coupled * *w;
            *g = 0.0;
            *m += (1.0 - s.beta1) * (gradient - *m);
            *v = s.beta2 * *v + (1.0 - s.beta2) * gradient * gradient;
            *w = *w * (1.0 - s.shrink) - s.step_size * *m / (v.sqrt() * s.root_correction + s.eps);
        }
    }

    fn sgd_piece(w: &mut [f32], g: &mut [f32], rate: f32, decay: f32, gradient_scale: f32) {
        for (w, g) in w.iter_mut().zip(g) {
            *w -= rate * (*g * gradient_scale + decay * *w);
            *g = 0.0;
        }
    }

    fn sum_of_squares_piece(g: &[f32]) -> f32 {
        dot(g, g)
    }
}

/// One step of Adam or AdamW; sets the gradient to zero for the next one.
pub fn adam(w: &mut [f32], g: &mut [f32], m: &mut [f32], v: &mut [f32], step: AdamStep) {
    w.par_chunks_mut(PIECE)
        .zip(g.par_chunks_mut(PIECE))
        .zip(m.par_chunks_mut(PIECE))
        .zip(v.par_chunks_mut(PIECE))
        .for_each(|(((w, g), m), v)| adam_piece(w, g, m, v, step));
}

/// One step of plain gradient descent with coupled decay; sets the gradient to zero for the next one.
pub fn sgd(w: &mut [f32], g: &mut [f32], rate: f32, decay: f32, gradient_scale: f32) {
    w.par_chunks_mut(PIECE)
        .zip(g.par_chunks_mut(PIECE))
        .for_each(|(w, g)| sgd_piece(w, g, rate, decay, gradient_scale));
}

/// Sum of squares; NaN or infinite if a value is.
pub fn sum_of_squares(g: &[f32]) -> f64 {
    // Collected before adding, so that the order is fixed.
    let pieces: Vec<f64> = g.par_chunks(PIECE).map(|piece| f64::from(sum_of_squares_piece(piece))).collect();
    pieces.iter().sum()
}
