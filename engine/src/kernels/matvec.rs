//! One row times a matrix: what generation does for each token. Bound by the memory that holds the weights, so that
//! bf16 weights take half the time of f32 ones. Sums are f32.

use super::LANES;
use super::gemm::{Element, Mat};
use rayon::prelude::*;

/// Weights below this many are read faster by one thread than by waking others.
const PARALLEL_VALUES: usize = 1 << 17;
/// Columns whose sums one task keeps in its first-level cache.
const COLUMNS: usize = 512;
/// Rows that are added at once: their sums stay in registers meanwhile.
const ROWS: usize = 8;

/// `out += x · w` for the columns from `first` of `w [x.len(), width]`.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn columns<E: Element>(x: &[f32], w: &[E], width: usize, first: usize, out: &mut [f32]) {
    let n = out.len();
    for (x, w) in x.chunks(ROWS).zip(w.chunks(ROWS * width)) {
        if let Some(x) = x.first_chunk::<ROWS>() {
            let rows: [&[E]; ROWS] = std::array::from_fn(|i| &w[i * width + first..][..n]);
            for (j, out) in out.iter_mut().enumerate() {
                let mut sum = 0.0;
                for i in 0..ROWS {
                    sum += x[i] * rows[i][j].to_f32();
                }
                *out += sum;
            }
        } else {
            for (x, row) in x.iter().zip(w.chunks(width)) {
                for (out, w) in out.iter_mut().zip(&row[first..first + n]) {
                    *out += x * w.to_f32();
                }
            }
        }
    }
}

/// `out = w x` for the rows of `w [out.len(), x.len()]`.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn dots<E: Element>(x: &[f32], w: &[E], out: &mut [f32]) {
    let (x_lanes, x_rest) = x.as_chunks::<LANES>();
    for (out, row) in out.iter_mut().zip(w.chunks_exact(x.len())) {
        let (lanes, rest) = row.as_chunks::<LANES>();
        let mut sums = [0.0f32; LANES];
        for (x, w) in x_lanes.iter().zip(lanes) {
            for i in 0..LANES {
                sums[i] += x[i] * w[i].to_f32();
            }
        }
        let mut sum = sums.iter().sum::<f32>();
        for (x, w) in x_rest.iter().zip(rest) {
            sum += x * w.to_f32();
        }
        *out = sum;
    }
}

/// `out = x w` for `w [x.len(), out.len()]`.
///
/// # Panics
/// If the shapes do not fit, or neither rows nor columns are contiguous.
pub fn row_times<E: Element>(x: &[f32], w: Mat<'_, E>, out: &mut [f32]) {
    assert!(w.rows == x.len() && w.cols == out.len());
    let parallel = w.rows * w.cols >= PARALLEL_VALUES;
    if let Some(w) = w.contiguous() {
        let width = out.len();
        out.fill(0.0);
        if parallel {
            out.par_chunks_mut(COLUMNS)
                .enumerate()
                .for_each(|(i, out)| columns(x, w, width, i * COLUMNS, out));
        } else {
            columns(x, w, width, 0, out);
        }
    } else if let Some(w) = w.t().contiguous() {
        if parallel {
            let rows = super::rows_per_task(x.len());
            out.par_chunks_mut(rows).zip(w.par_chunks(rows * x.len())).for_each(|(out, w)| dots(x, w, out));
        } else {
            dots(x, w, out);
        }
    } else {
        unreachable!("a matrix that is contiguous neither by rows nor by columns");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn both_orientations_and_storages_match_plain_loops() {
        for (k, n) in [(7, 5), (130, 1100)] {
            let x: Vec<f32> = (0..k).map(|i| (i as f32 * 0.37).sin()).collect();
            let halves: Vec<bf16> = (0..k * n).map(|i| bf16::from_f32((i as f32 * 0.11).cos())).collect();
            let w: Vec<f32> = halves.iter().map(|w| w.to_f32()).collect();
            let near = |out: &[f32], at: &dyn Fn(usize, usize) -> f32| {
                for (j, out) in out.iter().enumerate() {
                    let expected = (0..k).map(|i| f64::from(x[i] * at(i, j))).sum::<f64>();
                    assert!((f64::from(*out) - expected).abs() < 1e-4);
                }
            };
            let mut outs = [vec![1.0; n], vec![1.0; n]];
            row_times(&x, Mat::new(&w, k, n), &mut outs[0]);
            row_times(&x, Mat::new(&halves, k, n), &mut outs[1]);
            outs.iter().for_each(|out| near(out, &|i, j| w[i * n + j]));
            row_times(&x, Mat::new(&w, n, k).t(), &mut outs[0]);
            row_times(&x, Mat::new(&halves, n, k).t(), &mut outs[1]);
            outs.iter().for_each(|out| near(out, &|i, j| w[j * k + i]));
        }
    }
}
