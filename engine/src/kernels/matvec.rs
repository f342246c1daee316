//! One row times a matrix: what generation does for each token. Bound by the memory that holds the weights.

use super::math::dot;
use rayon::prelude::*;

/// Weights below this many are read faster by one thread than by waking others.
const PARALLEL_VALUES: usize = 1 << 17;
/// Columns whose sums one task keeps in its first-level cache.
const COLUMNS: usize = 512;

vectorised! {
    /// `out += x · w` for the columns from `first`, four rows of `w [k, width]` at a time.
    fn columns(x: &[f32], w: &[f32], width: usize, first: usize, out: &mut [f32]) {
        let n = out.len();
        let mut rows = w.chunks_exact(4 * width);
        let mut quads = x.chunks_exact(4);
        for (x, w) in quads.by_ref().zip(rows.by_ref()) {
            let (a, b) = (&w[first..first + n], &w[width + first..width + first + n]);
            let (c, d) = (&w[2 * width + first..2 * width + first + n], &w[3 * width + first..3 * width + first + n]);
            for ((((o, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *o += (x[0] * a + x[1] * b) + (x[2] * c + x[3] * d);
            }
        }
        for (x, w) in quads.remainder().iter().zip(rows.remainder().chunks_exact(width)) {
            for (o, w) in out.iter_mut().zip(&w[first..first + n]) {
                *o += x * w;
            }
        }
    }

    fn dots(x: &[f32], w: &[f32], out: &mut [f32]) {
        for (o, row) in out.iter_mut().zip(w.chunks_exact(x.len())) {
            *o = dot(x, row);
        }
    }
}

/// `out += x w` with `w [x.len(), out.len()]` (GPT-2's dense layers).
pub fn add_row_times(x: &[f32], w: &[f32], out: &mut [f32]) {
    let width = out.len();
    if w.len() < PARALLEL_VALUES {
        columns(x, w, width, 0, out);
    } else {
        out.par_chunks_mut(COLUMNS).enumerate().for_each(|(i, out)| columns(x, w, width, i * COLUMNS, out));
    }
}

/// `out = w x` with `w [out.len(), x.len()]` (the head).
pub fn times_column(w: &[f32], x: &[f32], out: &mut [f32]) {
    if w.len() < PARALLEL_VALUES {
        dots(x, w, out);
    } else {
        let rows = super::rows_per_task(x.len());
        out.par_chunks_mut(rows).zip(w.par_chunks(rows * x.len())).for_each(|(out, w)| dots(x, w, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orientations_match_plain_loops() {
        for (k, n) in [(7, 5), (130, 1100)] {
            let x: Vec<f32> = (0..k).map(|i| (i as f32 * 0.37).sin()).collect();
            let w: Vec<f32> = (0..k * n).map(|i| (i as f32 * 0.11).cos()).collect();
            let mut out = vec![1.0; n];
            add_row_times(&x, &w, &mut out);
            for j in 0..n {
                let expected = 1.0 + (0..k).map(|i| f64::from(x[i] * w[i * n + j])).sum::<f64>();
                assert!((f64::from(out[j]) - expected).abs() < 1e-4);
            }
            let mut out = vec![0.0; n];
            times_column(&w, &x, &mut out);
            for j in 0..n {
                let expected = (0..k).map(|i| f64::from(x[i] * w[j * k + i])).sum::<f64>();
                assert!((f64::from(out[j]) - expected).abs() < 1e-4);
            }
        }
    }
}
