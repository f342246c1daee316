//! Normalisation of rows by their root mean square (Zhang and Sennrich 2019), forward and backward.
//!
//! Statistics have the form of [`super::layernorm`]'s, with a mean of 0, so that both kinds share their buffers.

use super::layernorm::{Statistics, backward_rows, forward_rows};
use super::math::dot;
use super::{LANES, rows_per_task};
use rayon::prelude::*;

vectorised! {
    /// Normalises one row and returns its statistics.
    fn forward_row(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) -> Statistics {
        let rstd = 1.0 / (dot(x, x) / x.len() as f32 + eps).sqrt();
        for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
            *o = x * rstd * w;
        }
        (0.0, rstd)
    }

    /// Adds the gradient through one row to `dx`.
    fn backward_row(x: &[f32], dy: &[f32], weight: &[f32], rstd: f32, dx: &mut [f32]) {
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (ds, d_rest) = dy.as_chunks::<LANES>();
        let (ws, w_rest) = weight.as_chunks::<LANES>();
        let mut lanes = [0.0f32; LANES];
        for ((x, d), w) in xs.iter().zip(ds).zip(ws) {
            for i in 0..LANES {
                lanes[i] += d[i] * w[i] * x[i];
            }
        }
        let mut along = lanes.iter().sum::<f32>();
        for ((x, d), w) in x_rest.iter().zip(d_rest).zip(w_rest) {
            along += d * w * x;
        }
        let along = along * rstd * rstd / x.len() as f32;
        for (((dx, x), d), w) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
            *dx += rstd * (d * w - x * along);
        }
    }

    fn weight_row(x: &[f32], dy: &[f32], rstd: f32, dweight: &mut [f32]) {
        for ((x, d), dw) in x.iter().zip(dy).zip(dweight) {
            *dw += d * x * rstd;
        }
    }
}

/// Normalises the rows of `x` into `out`, keeping each row's statistics for [`backward`].
pub fn forward(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32], statistics: &mut [Statistics]) {
    forward_rows(x, weight.len(), out, statistics, |x, out| forward_row(x, weight, eps, out));
}

/// Adds the gradient with respect to `x` to `dx`.
pub fn backward(x: &[f32], dy: &[f32], weight: &[f32], statistics: &[Statistics], dx: &mut [f32]) {
    let row = |x: &[f32], dy: &[f32], s: Statistics, dx: &mut [f32]| backward_row(x, dy, weight, s.1, dx);
    backward_rows(x, dy, weight.len(), statistics, dx, row);
}

/// Adds the gradient of the scale.
pub fn backward_weight(x: &[f32], dy: &[f32], statistics: &[Statistics], dweight: &mut [f32]) {
    let width = dweight.len();
    let rows = rows_per_task(width);
    let partial: Vec<Vec<f32>> = x
        .par_chunks(rows * width)
        .zip(dy.par_chunks(rows * width))
        .zip(statistics.par_chunks(rows))
        .map(|((x, dy), statistics)| {
            let mut dw = vec![0.0; width];
            for ((x, dy), s) in x.chunks(width).zip(dy.chunks(width)).zip(statistics) {
                weight_row(x, dy, s.1, &mut dw);
            }
            dw
        })
        .collect();
    for dw in partial {
        dweight.iter_mut().zip(dw).for_each(|(total, part)| *total += part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const ROWS: usize = 3;
    const WIDTH: usize = 37;
    const EPS: f32 = 1e-3;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| Stream::new(seed).normal(i as u64) as f32).collect()
    }

    fn normalised(x: &[f32], weight: &[f32]) -> (Vec<f32>, Vec<Statistics>) {
        let (mut out, mut statistics) = (vec![0.0; x.len()], vec![(0.0, 0.0); ROWS]);
        forward(x, weight, EPS, &mut out, &mut statistics);
        (out, statistics)
    }

    #[test]
    fn values_are_those_of_the_definition_and_gradients_those_of_differences() {
        let (x, weight, dy) = (random(ROWS * WIDTH, 1), random(WIDTH, 2), random(ROWS * WIDTH, 3));
        let (out, statistics) = normalised(&x, &weight);
        for (out, x) in out.chunks(WIDTH).zip(x.chunks(WIDTH)) {
            let mean = x.iter().map(|x| f64::from(x * x)).sum::<f64>() / WIDTH as f64;
            let root = (mean + f64::from(EPS)).sqrt();
            for ((o, x), w) in out.iter().zip(x).zip(&weight) {
                assert!((f64::from(*o) - f64::from(x * w) / root).abs() < 1e-5);
            }
        }
        let objective = |x: &[f32], weight: &[f32]| {
            normalised(x, weight).0.iter().zip(&dy).map(|(o, d)| f64::from(o * d)).sum::<f64>()
        };
        let moved = |values: &[f32], i: usize, by: f32| {
            let mut values = values.to_vec();
            values[i] += by;
            values
        };
        // Gradients are added to what is there.
        let (mut dx, mut dweight) = (vec![1.0; x.len()], vec![1.0; WIDTH]);
        backward(&x, &dy, &weight, &statistics, &mut dx);
        backward_weight(&x, &dy, &statistics, &mut dweight);
        for (i, gradient) in dx.iter().enumerate() {
            let slope = objective(&moved(&x, i, 1e-2), &weight) - objective(&moved(&x, i, -1e-2), &weight);
            assert!((1.0 + slope / 2e-2 - f64::from(*gradient)).abs() < 2e-3, "{i}: {slope} {gradient}");
        }
        for (i, gradient) in dweight.iter().enumerate() {
            let slope = objective(&x, &moved(&weight, i, 1e-2)) - objective(&x, &moved(&weight, i, -1e-2));
            assert!((1.0 + slope / 2e-2 - f64::from(*gradient)).abs() < 2e-3, "{i}: {slope} {gradient}");
        }
    }
}
