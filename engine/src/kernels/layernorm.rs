//! Layer normalisation over rows (Ba, Kiros and Hinton 2016), forward and backward.

use super::math::sum;
use super::{LANES, rows_per_task};
use rayon::prelude::*;

/// Mean and reciprocal standard deviation of one row.
pub type Statistics = (f32, f32);

vectorised! {
    /// Normalises one row and returns its statistics.
    pub fn forward_row(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) -> Statistics {
        let n = x.len() as f32;
        let mean = sum(x) / n;
        let (chunks, rest) = x.as_chunks::<LANES>();
        let mut lanes = [0.0f32; LANES];
        for chunk in chunks {
            for i in 0..LANES {
                let d = chunk[i] - mean;
                lanes[i] += d * d;
            }
        }
        let mut squares = lanes.iter().sum::<f32>();
        for x in rest {
            squares += (x - mean) * (x - mean);
        }
        let rstd = 1.0 / (squares / n + eps).sqrt();
        for (((o, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *o = (x - mean) * rstd * w + b;
        }
        (mean, rstd)
    }

    /// Adds the gradient through one row to `dx`.
    fn backward_row(x: &[f32], dy: &[f32], weight: &[f32], (mean, rstd): Statistics, dx: &mut [f32]) {
        let n = x.len() as f32;
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (ds, d_rest) = dy.as_chunks::<LANES>();
        let (ws, w_rest) = weight.as_chunks::<LANES>();
        let (mut plain, mut along) = ([0.0f32; LANES], [0.0f32; LANES]);
        for ((x, d), w) in xs.iter().zip(ds).zip(ws) {
            for i in 0..LANES {
                let g = d[i] * w[i];
                plain[i] += g;
                along[i] += g * (x[i] - mean) * rstd;
            }
        }
        let (mut plain, mut along) = (plain.iter().sum::<f32>(), along.iter().sum::<f32>());
        for ((x, d), w) in x_rest.iter().zip(d_rest).zip(w_rest) {
            plain += d * w;
            along += d * w * (x - mean) * rstd;
        }
        let (plain, along) = (plain / n, along / n);
        for (((dx, x), d), w) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
            *dx += rstd * (d * w - plain - (x - mean) * rstd * along);
        }
    }

    fn parameters_row(x: &[f32], dy: &[f32], (mean, rstd): Statistics, dweight: &mut [f32], dbias: &mut [f32]) {
        for (((x, d), dw), db) in x.iter().zip(dy).zip(dweight).zip(dbias) {
            *dw += d * (x - mean) * rstd;
            *db += d;
        }
    }
}

/// Normalises rows of `width` from `x` into `out` in parallel, each by `row`, keeping their statistics.
pub(super) fn forward_rows(
    x: &[f32],
    width: usize,
    out: &mut [f32],
    statistics: &mut [Statistics],
    row: impl Fn(&[f32], &mut [f32]) -> Statistics + Sync,
) {
    let rows = rows_per_task(width);
    x.par_chunks(rows * width)
        .zip(out.par_chunks_mut(rows * width))
        .zip(statistics.par_chunks_mut(rows))
        .for_each(|((x, out), statistics)| {
            for ((x, out), s) in x.chunks(width).zip(out.chunks_mut(width)).zip(statistics) {
                *s = row(x, out);
            }
        });
}

/// Adds to rows of `width` of `dx` in parallel what `row` makes of `x`, `dy` and the statistics.
pub(super) fn backward_rows(
    x: &[f32],
    dy: &[f32],
    width: usize,
    statistics: &[Statistics],
    dx: &mut [f32],
    row: impl Fn(&[f32], &[f32], Statistics, &mut [f32]) + Sync,
) {
    let rows = rows_per_task(width);
    x.par_chunks(rows * width)
        .zip(dy.par_chunks(rows * width))
        .zip(dx.par_chunks_mut(rows * width))
        .zip(statistics.par_chunks(rows))
        .for_each(|(((x, dy), dx), statistics)| {
            let inputs = x.chunks(width).zip(dy.chunks(width)).zip(statistics);
            for (((x, dy), &s), dx) in inputs.zip(dx.chunks_mut(width)) {
                row(x, dy, s, dx);
            }
        });
}

/// Normalises the rows of `x` into `out`, keeping each row's statistics for [`backward`].
pub fn forward(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    out: &mut [f32],
    statistics: &mut [Statistics],
) {
    forward_rows(x, weight.len(), out, statistics, |x, out| forward_row(x, weight, bias, eps, out));
}

/// Adds the gradient with respect to `x` to `dx`.
pub fn backward(x: &[f32], dy: &[f32], weight: &[f32], statistics: &[Statistics], dx: &mut [f32]) {
    let row = |x: &[f32], dy: &[f32], s, dx: &mut [f32]| backward_row(x, dy, weight, s, dx);
    backward_rows(x, dy, weight.len(), statistics, dx, row);
}

/// Adds the gradients of scale and shift.
pub fn backward_parameters(
    x: &[f32],
    dy: &[f32],
    statistics: &[Statistics],
    dweight: &mut [f32],
    dbias: &mut [f32],
) {
    let width = dweight.len();
    let rows = rows_per_task(width);
    let partial: Vec<(Vec<f32>, Vec<f32>)> = x
        .par_chunks(rows * width)
        .zip(dy.par_chunks(rows * width))
        .zip(statistics.par_chunks(rows))
        .map(|((x, dy), statistics)| {
            let (mut dw, mut db) = (vec![0.0; width], vec![0.0; width]);
            for ((x, dy), &s) in x.chunks(width).zip(dy.chunks(width)).zip(statistics) {
                parameters_row(x, dy, s, &mut dw, &mut db);
            }
            (dw, db)
        })
        .collect();
    for (dw, db) in partial {
        dweight.iter_mut().zip(dw).for_each(|(total, part)| *total += part);
        dbias.iter_mut().zip(db).for_each(|(total, part)| *total += part);
    }
}
