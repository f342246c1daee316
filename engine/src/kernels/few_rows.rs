//! A few rows times a matrix: what generation does for each token, one row for each answer. Bound by the memory that
//! holds the weights, so that bf16 weights take half the time of f32 ones and several rows take hardly more than one.
//! Sums are f32.
//!
//! A row's sums are added in an order given by the matrix alone: it comes out the same, bit for bit, whichever rows
//! stand beside it, and on any number of threads.

use super::gemm::{Mat, MatMut};
use super::lanes::{Lanes, Loop, Weight, with_lanes};
use super::team::Leader;
use super::{LANES, elementwise};

/// Weights of one piece of work, where each piece has outputs of its own.
const PIECE_VALUES: usize = 1 << 15;
/// Pieces into which the depth is cut where a weight's outputs lie side by side. Each has sums of its own.
const DEPTH_PIECES: usize = 16;
/// Rows of weights that are read side by side there.
const DEPTH: usize = 8;
/// Rows of `x` for which a weight is read once; for further ones it is read from the cache again.
const ROWS: usize = 4;

/// `out = x · w`; `sums` is scratch memory.
///
/// # Panics
/// If the shapes do not fit, or neither rows nor columns of `w` are contiguous.
pub fn few_rows<E: Weight>(
    team: &mut Leader<'_>,
    x: Mat<'_>,
    w: Mat<'_, E>,
    mut out: MatMut<'_>,
    sums: &mut Vec<f32>,
) {
    assert!(x.cols == w.rows && w.cols == out.cols && x.rows == out.rows);
    let (rows, inputs, outputs) = (x.rows, w.rows, w.cols);
    if rows == 0 || outputs == 0 {
        return;
    }
    let x: Vec<&[f32]> = (0..rows).map(|i| x.row(i)).collect();
    if let Some(w) = w.t().contiguous() {
        let width = (PIECE_VALUES / inputs.max(1)).clamp(1, outputs);
        sums.resize((rows * outputs).max(sums.len()), 0.0);
        let sums = &mut sums[..rows * outputs];
        team.for_each_chunk(sums, rows * width, |i, sums| {
            let first = i * width * inputs;
            let w = &w[first..first + sums.len() / rows * inputs];
            by_rows(&x, sums, |x, sums| match x {
                [a, b, c, d] => with_lanes(Dots { x: [a, b, c, d], w, out: sums }),
                [a, b, c] => with_lanes(Dots { x: [a, b, c], w, out: sums }),
                [a, b] => with_lanes(Dots { x: [a, b], w, out: sums }),
                [a] => with_lanes(Dots { x: [a], w, out: sums }),
                _ => {}
            });
        });
        for (i, sums) in sums.chunks(rows * width).enumerate() {
            for (row, sums) in sums.chunks(sums.len() / rows).enumerate() {
                out.row_mut(row)[i * width..][..sums.len()].copy_from_slice(sums);
            }
        }
    } else if let Some(w) = w.contiguous() {
        let height = inputs.div_ceil(DEPTH_PIECES).next_multiple_of(DEPTH).max(DEPTH);
        let pieces = inputs.div_ceil(height).max(1);
        sums.resize((pieces * rows * outputs).max(sums.len()), 0.0);
        let sums = &mut sums[..pieces * rows * outputs];
        team.for_each_chunk(sums, rows * outputs, |i, sums| {
            let depth = i * height..((i + 1) * height).min(inputs);
            let w = &w[depth.start * outputs..depth.end * outputs];
            let x: Vec<&[f32]> = x.iter().map(|x| &x[depth.clone()]).collect();
            by_rows(&x, sums, |x, sums| match x {
                [a, b, c, d] => with_lanes(Columns { x: [a, b, c, d], w, out: sums }),
                [a, b, c] => with_lanes(Columns { x: [a, b, c], w, out: sums }),
                [a, b] => with_lanes(Columns { x: [a, b], w, out: sums }),
                [a] => with_lanes(Columns { x: [a], w, out: sums }),
                _ => {}
            });
        });
        for row in 0..rows {
            let out = out.row_mut(row);
            for (i, sums) in sums.chunks(rows * outputs).enumerate() {
                let sums = &sums[row * outputs..][..outputs];
                if i == 0 { out.copy_from_slice(sums) } else { elementwise::accumulate_row(out, sums) }
            }
        }
    } else {
        unreachable!("a matrix that is contiguous neither by rows nor by columns");
    }
}

/// Hands out the rows of `x`, [`ROWS`] at once, with their sums.
fn by_rows(x: &[&[f32]], sums: &mut [f32], mut some: impl FnMut(&[&[f32]], &mut [f32])) {
    let width = sums.len() / x.len();
    for (x, sums) in x.chunks(ROWS).zip(sums.chunks_mut(ROWS * width)) {
        some(x, sums);
    }
}

/// `out [N, outputs] = x wᵀ` for the rows of `w [outputs, depth]`.
struct Dots<'a, E, const N: usize> {
    x: [&'a [f32]; N],
    w: &'a [E],
    out: &'a mut [f32],
}

impl<E: Weight, const N: usize> Loop for Dots<'_, E, N> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { x, w, out } = self;
        let (depth, outputs) = (x[0].len(), out.len() / N);
        let blocks = depth / LANES;
        // Pointers, because a check of each block's bounds would cost as much as its sums.
        let x_lanes = x.map(|x| x.as_chunks::<LANES>().0[..blocks].as_ptr());
        // One output after the other: memory is read fastest in one stream.
        for j in 0..outputs {
            let w = &w[j * depth..(j + 1) * depth];
            let w_lanes = w.as_chunks::<LANES>().0[..blocks].as_ptr();
            // SAFETY: the instructions are promised by the caller; all blocks are inside their rows, cut to `blocks`.
            let sums = unsafe {
                let mut sums = [L::splat(0.0); N];
                for b in 0..blocks {
                    let w: L = E::lanes(&*w_lanes.add(b));
                    for n in 0..N {
                        sums[n] = sums[n].plus_product(L::load(&*x_lanes[n].add(b)), w);
                    }
                }
                sums.map(|sum| sum.total())
            };
            for (n, sum) in sums.iter().enumerate() {
                let rest = x[n][blocks * LANES..].iter().zip(&w[blocks * LANES..]);
                out[n * outputs + j] = sum + rest.map(|(x, w)| x * w.to_f32()).sum::<f32>();
            }
        }
    }
}

/// `out [N, outputs] = x w` for `w [depth, outputs]`.
struct Columns<'a, E, const N: usize> {
    x: [&'a [f32]; N],
    w: &'a [E],
    out: &'a mut [f32],
}

impl<E: Weight, const N: usize> Loop for Columns<'_, E, N> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { x, w, out } = self;
        let (depth, outputs) = (x[0].len(), out.len() / N);
        out.fill(0.0);
        let whole = outputs / LANES;
        for first in (0..depth).step_by(DEPTH) {
            let count = DEPTH.min(depth - first);
            // Beyond the depth, the first row stands in, times zero.
            let mut factors = [[0.0f32; DEPTH]; N];
            for n in 0..N {
                factors[n][..count].copy_from_slice(&x[n][first..first + count]);
            }
            let rows: [&[E]; DEPTH] = std::array::from_fn(|i| {
                let row = first + if i < count { i } else { 0 };
                &w[row * outputs..(row + 1) * outputs]
            });
            let lanes: [*const [E; LANES]; DEPTH] = rows.map(|row| row.as_chunks().0[..whole].as_ptr());
            // SAFETY: the instructions are promised by the caller; all blocks are inside their rows, cut to `whole`.
            unsafe {
                let mut w = [L::splat(0.0); DEPTH];
                for b in 0..whole {
                    for i in 0..DEPTH {
                        w[i] = E::lanes(&*lanes[i].add(b));
                    }
                    for n in 0..N {
                        let Some(out) = out[n * outputs + b * LANES..].first_chunk_mut() else { break };
                        let mut sum = L::load(out);
                        for i in 0..DEPTH {
                            sum = sum.plus_product(L::splat(factors[n][i]), w[i]);
                        }
                        sum.store(out);
                    }
                }
            }
            for j in whole * LANES..outputs {
                for n in 0..N {
                    for i in 0..DEPTH {
                        out[n * outputs + j] += factors[n][i] * rows[i][j].to_f32();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::team::lead;
    use crate::rng::Stream;
    use half::bf16;
    use proptest::prelude::*;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| Stream::new(seed).normal(i as u64) as f32).collect()
    }

    /// The product on a pool of its own, into rows that are further apart than they are long.
    fn product<E: Weight>(x: &[f32], rows: usize, w: Mat<'_, E>, threads: usize) -> Vec<f32> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let stride = w.cols + 3;
        let mut out = vec![7.0; rows * stride];
        let work = |team: &mut Leader<'_>| {
            let to = MatMut::strided(&mut out, rows, w.cols, stride);
            few_rows(team, Mat::new(x, rows, w.rows), w, to, &mut Vec::new());
        };
        pool.install(|| lead(work));
        assert!(out.iter().enumerate().all(|(i, value)| i % stride < w.cols || *value == 7.0));
        out.chunks(stride).flat_map(|row| row[..w.cols].to_vec()).collect()
    }

    fn check<E: Weight>(rows: usize, w: Mat<'_, E>, threads: usize) {
        let x = random(rows * w.rows, 2);
        let together = product(&x, rows, w, threads);
        for (i, out) in together.chunks(w.cols).enumerate() {
            let x = &x[i * w.rows..][..w.rows];
            assert_eq!(out, product(x, 1, w, 1), "row {i} of {rows}: not what it is alone");
            for (j, &out) in out.iter().enumerate() {
                let terms = || (0..w.rows).map(|k| f64::from(x[k]) * f64::from(w.at(k, j).to_f32()));
                let off = (f64::from(out) - terms().sum::<f64>()).abs();
                assert!(off < 1e-6 * (1.0 + terms().map(f64::abs).sum::<f64>()), "{i}, {j}: off by {off}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn a_row_is_the_same_among_others_and_follows_the_definition(
            rows in 1usize..10, inputs in 1usize..200, outputs in 1usize..300, turned: bool, threads in 1usize..4,
        ) {
            let w = random(inputs * outputs, 1);
            let halves: Vec<bf16> = w.iter().map(|value| bf16::from_f32(*value)).collect();
            if turned {
                check(rows, Mat::new(&w, outputs, inputs).t(), threads);
                check(rows, Mat::new(&halves, outputs, inputs).t(), threads);
            } else {
                check(rows, Mat::new(&w, inputs, outputs), threads);
                check(rows, Mat::new(&halves, inputs, outputs), threads);
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_in_its_row() {
        let (inputs, outputs) = (37, 50);
        let w = random(inputs * outputs, 1);
        for w in [Mat::new(&w, inputs, outputs), Mat::new(&w, outputs, inputs).t()] {
            let mut x = random(3 * inputs, 2);
            x[inputs + 5] = f32::NAN;
            let out = product(&x, 3, w, 2);
            assert!(out.iter().enumerate().all(|(i, value)| value.is_finite() == (i / outputs != 1)));
        }
    }
}
