//! The feed-forward block's non-linearity, forward and backward.

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

vectorised! {
    fn gelu_tanh(x: &mut [f32], bias: &[f32], out: &mut [f32]) {
        for ((x, b), o) in x.iter_mut().zip(bias).zip(out) {
            *x += b;
            *o = *x * logistic_of_cubic(*x);
        }
    }

    fn gelu_tanh_again(x: &[f32], out: &mut [f32]) {
        for (x, o) in x.iter().zip(out) {
            *o = x * logistic_of_cubic(*x);
        }
    }

    fn gelu_tanh_backward(x: &[f32], d: &mut [f32]) {
        for (&x, d) in x.iter().zip(d) {
            let s = logistic_of_cubic(x);
            *d *= s + x * s * (1.0 - s) * TWICE_ROOT * (1.0 + 3.0 * CUBIC * x * x);
        }
    }

    fn gelu_erf(x: &mut [f32], bias: &[f32], out: &mut [f32]) {
        for ((x, b), o) in x.iter_mut().zip(bias).zip(out) {
            *x += b;
            *o = *x * normal_cdf(*x);
        }
    }

    fn gelu_erf_again(x: &[f32], out: &mut [f32]) {
        for (x, o) in x.iter().zip(out) {
            *o = x * normal_cdf(*x);
        }
    }

    fn gelu_erf_backward(x: &[f32], d: &mut [f32]) {
        for (&x, d) in x.iter().zip(d) {
            // The normal density: 1 / √(2π) · e^(-x²/2).
            *d *= normal_cdf(x) + x * 0.398_942_3 * exp(-0.5 * x * x);
        }
    }
}

/// Adds the bias to `x` in place (the backward pass wants the sum) and writes the activation to `out`.
pub fn forward(kind: Activation, x: &mut [f32], bias: &[f32], out: &mut [f32]) {
    let width = bias.len();
    let task = rows_per_task(width) * width;
    x.par_chunks_mut(task).zip(out.par_chunks_mut(task)).for_each(|(x, out)| {
        for (x, out) in x.chunks_mut(width).zip(out.chunks_mut(width)) {
            match kind {
                Activation::GeluTanh => gelu_tanh(x, bias, out),
                Activation::GeluErf => gelu_erf(x, bias, out),
            }
        }
    });
}

/// The activation once more from what [`forward`] left in `x`, cheaper than keeping it.
pub fn again(kind: Activation, x: &[f32], out: &mut [f32]) {
    let task = super::TASK_VALUES;
    x.par_chunks(task).zip(out.par_chunks_mut(task)).for_each(|(x, out)| match kind {
        Activation::GeluTanh => gelu_tanh_again(x, out),
        Activation::GeluErf => gelu_erf_again(x, out),
    });
}

/// Multiplies the output's gradient in `d` by the derivative at `x`.
pub fn backward(kind: Activation, x: &[f32], d: &mut [f32]) {
    let task = super::TASK_VALUES;
    x.par_chunks(task).zip(d.par_chunks_mut(task)).for_each(|(x, d)| match kind {
        Activation::GeluTanh => gelu_tanh_backward(x, d),
        Activation::GeluErf => gelu_erf_backward(x, d),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Activation, x: f32) -> f32 {
        let mut out = [0.0];
        forward(kind, &mut [x], &[0.0], &mut out);
        out[0]
    }

    #[test]
    fn values_and_slopes() {
        // torch.nn.functional.gelu(x, approximate="tanh") and (x) at -2, -0.5, 0.5, 2.
        let x = [-2.0, -0.5, 0.5, 2.0];
        let tanh = [-0.045_402_3, -0.154_286, 0.345_714, 1.954_597_7];
        let erf = [-0.045_500_26, -0.154_268_77, 0.345_731_23, 1.954_499_7];
        for (kind, expected) in [(Activation::GeluTanh, tanh), (Activation::GeluErf, erf)] {
            for (&x, y) in x.iter().zip(expected) {
                assert!((value(kind, x) - y).abs() < 2e-6, "{kind:?} {x}: {}", value(kind, x));
                let mut slope = [1.0];
                backward(kind, &[x], &mut slope);
                let numeric = (value(kind, x + 1e-2) - value(kind, x - 1e-2)) / 2e-2;
                assert!((slope[0] - numeric).abs() < 1e-4, "{kind:?} {x}: {} {numeric}", slope[0]);
                let mut again_out = [0.0];
                again(kind, &[x], &mut again_out);
                assert_eq!(again_out[0], value(kind, x));
            }
        }
    }
}
