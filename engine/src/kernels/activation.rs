//! The feed-forward block's non-linearity, forward and backward.
//!
//! Rows of the input hold one product of the block's input for each that the activation reads, side by side.

use super::elementwise::accumulate_row;
use super::math::exp;
use super::rows_per_task;
use crate::config::Activation;
use rayon::prelude::*;

/// `2 √(2/π)`, so that `0.5 (1 + tanh(u / 2))` is the logistic function of `u`.
const TWICE_ROOT: f32 = 1.595_769;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn logistic_of_cubic(x: f32) -> f32 {
    let u = TWICE_ROOT * (x + CUBIC * x * x * x);
    1.0 / (1.0 + exp(-u))
}

/// The normal distribution function Φ, by the error function of Abramowitz and Stegun 7.1.26
/// (absolute error below 1.5e-7).
#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    let tail = 0.5 * p * exp(-z * z);
    if x < 0.0 { tail } else { 1.0 - tail }
}

#[inline(always)]
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

vectorised! {
    fn gelu_tanh(x: &[f32], out: &mut [f32]) {
        for (x, o) in x.iter().zip(out) {
            *o = x * logistic_of_cubic(*x);
        }
    }

    fn gelu_tanh_backward(x: &mut [f32], d: &[f32]) {
        for (x, d) in x.iter_mut().zip(d) {
            let s = logistic_of_cubic(*x);
            *x = d * (s + *x * s * (1.0 - s) * TWICE_ROOT * (1.0 + 3.0 * CUBIC * *x * *x));
        }
    }

    fn gelu_erf(x: &[f32], out: &mut [f32]) {
        for (x, o) in x.iter().zip(out) {
            *o = x * normal_cdf(*x);
        }
    }

    fn gelu_erf_backward(x: &mut [f32], d: &[f32]) {
        for (x, d) in x.iter_mut().zip(d) {
            // The normal density: 1 / √(2π) · e^(-x²/2).
            *x = d * (normal_cdf(*x) + *x * 0.398_942_3 * exp(-0.5 * *x * *x));
        }
    }

    fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((g, u), o) in gate.iter().zip(up).zip(out) {
            *o = g * logistic(*g) * u;
        }
    }

    fn swiglu_backward(gate: &mut [f32], up: &mut [f32], d: &[f32]) {
        for ((g, u), d) in gate.iter_mut().zip(up).zip(d) {
            let s = logistic(*g);
            let active = *g * s;
            let slope = s + active * (1.0 - s);
            (*g, *u) = (d * *u * slope, d * active);
        }
    }
}

fn row(kind: Activation, x: &[f32], out: &mut [f32]) {
    match kind {
        Activation::GeluTanh => gelu_tanh(x, out),
        Activation::GeluErf => gelu_erf(x, out),
        Activation::SwiGlu => {
            let (gate, up) = x.split_at(out.len());
            swiglu(gate, up, out);
        }
    }
}

/// Adds the biases to `x` in place (the backward pass wants the sum) and writes the activation to `out [rows, width]`.
/// There is a bias for each input, or none.
pub fn forward(kind: Activation, x: &mut [f32], biases: &[&[f32]], out: &mut [f32], width: usize) {
    let rows = rows_per_task(width);
    let wide = kind.inputs() * width;
    x.par_chunks_mut(rows * wide).zip(out.par_chunks_mut(rows * width)).for_each(|(x, out)| {
        for (x, out) in x.chunks_mut(wide).zip(out.chunks_mut(width)) {
            for (x, bias) in x.chunks_mut(width).zip(biases) {
                accumulate_row(x, bias);
            }
            row(kind, x, out);
        }
    });
}

/// The activation once more from what [`forward`] left in `x`, cheaper than keeping it.
pub fn again(kind: Activation, x: &[f32], out: &mut [f32], width: usize) {
    let rows = rows_per_task(width);
    let wide = kind.inputs() * width;
    x.par_chunks(rows * wide).zip(out.par_chunks_mut(rows * width)).for_each(|(x, out)| {
        for (x, out) in x.chunks(wide).zip(out.chunks_mut(width)) {
            row(kind, x, out);
        }
    });
}

/// Replaces `x` by its gradient, from the output's gradient `d [rows, width]`.
pub fn backward(kind: Activation, x: &mut [f32], d: &[f32], width: usize) {
    let rows = rows_per_task(width);
    let wide = kind.inputs() * width;
    x.par_chunks_mut(rows * wide).zip(d.par_chunks(rows * width)).for_each(|(x, d)| {
        for (x, d) in x.chunks_mut(wide).zip(d.chunks(width)) {
            match kind {
                Activation::GeluTanh => gelu_tanh_backward(x, d),
                Activation::GeluErf => gelu_erf_backward(x, d),
                Activation::SwiGlu => {
                    let (gate, up) = x.split_at_mut(width);
                    swiglu_backward(gate, up, d);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Activation, x: &[f32]) -> f32 {
        let mut out = [0.0];
        forward(kind, &mut x.to_vec(), &[], &mut out, 1);
        out[0]
    }

    #[test]
    fn values_and_slopes() {
        // torch.nn.functional.gelu(x, approximate="tanh") and (x), and silu(x) * 3, at -2, -0.5, 0.5, 2.
        let x = [-2.0, -0.5, 0.5, 2.0];
        let tanh = [-0.045_402_3, -0.154_286, 0.345_714, 1.954_597_7];
        let erf = [-0.045_500_26, -0.154_268_77, 0.345_731_23, 1.954_499_7];
        let swiglu = [-0.715_217_5, -0.566_311_05, 0.933_688_94, 5.284_782_4];
        let cases = [
            (Activation::GeluTanh, tanh, &[][..]),
            (Activation::GeluErf, erf, &[]),
            (Activation::SwiGlu, swiglu, &[3.0]),
        ];
        for (kind, expected, rest) in cases {
            for (&x, y) in x.iter().zip(expected) {
                let input = [&[x], rest].concat();
                assert!((value(kind, &input) - y).abs() < 2e-6, "{kind:?} {x}: {}", value(kind, &input));
                let mut slopes = input.clone();
                backward(kind, &mut slopes, &[2.0], 1);
                for (i, slope) in slopes.iter().enumerate() {
                    let moved = |by: f32| {
                        let mut input = input.clone();
                        input[i] += by;
                        value(kind, &input)
                    };
                    let numeric = 2.0 * (moved(1e-2) - moved(-1e-2)) / 2e-2;
                    assert!((slope - numeric).abs() < 4e-4, "{kind:?} {x}: {slope} {numeric}");
                }
                let mut again_out = [0.0];
                again(kind, &input, &mut again_out, 1);
                assert_eq!(again_out[0], value(kind, &input));
            }
        }
    }

    #[test]
    fn biases_are_added_to_the_input_first() {
        let mut x = [1.0, 2.0, -1.0, 0.5];
        let mut out = [0.0; 2];
        forward(Activation::SwiGlu, &mut x, &[&[0.5, 0.0], &[0.0, 1.0]], &mut out, 2);
        assert_eq!(x, [1.5, 2.0, -1.0, 1.5]);
        assert_eq!(out[0], value(Activation::SwiGlu, &[1.5, -1.0]));
    }
}
