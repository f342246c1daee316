//! Causal attention of one head over one sequence, in blocks of queries.
//!
//! A block of queries sees the keys up to its last one, so the masked half is mostly skipped, and the scores
//! of one block are all that is ever held. The backward pass computes the probabilities again.

use super::gemm::{Mat, MatMut, Threads, Write, gemm};
use super::softmax::{mask_row, masked_copy_row, softmax_backward_row, softmax_row};
use crate::rng::Dropout;
use rayon::prelude::*;
use std::cell::RefCell;

/// Queries that share one block of scores.
const BLOCK: usize = 64;

thread_local! {
    /// Scores of a block, kept between calls. Never borrowed across a rayon call.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Attention over the packed projections of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// First row and length of each sequence.
    pub sequences: &'a [(usize, usize)],
    pub heads: usize,
    pub head_width: usize,
    /// Scores are multiplied by this.
    pub scale: f32,
    pub dropout: Option<Dropout>,
}

/// A buffer whose disjoint column blocks several tasks write.
#[derive(Clone, Copy)]
struct Shared(*mut f32);
// SAFETY: each task derives a block of its own, see `Shared::head`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The block of `rows × cols` at a row and column of a buffer with this stride.
    ///
    /// # Safety
    /// The block lies inside the buffer and no other task touches it meanwhile.
    unsafe fn block<'a>(
        self,
        row: usize,
        column: usize,
        rows: usize,
        cols: usize,
        stride: usize,
    ) -> MatMut<'a> {
        // SAFETY: promised by the caller.
        unsafe { MatMut::from_raw(self.0.add(row * stride + column), rows, cols, stride) }
    }
}

impl Shape<'_> {
    /// Calls `task(first row, length, head)` for each head of each sequence, in parallel.
    fn for_each_head(&self, task: impl Fn(usize, usize, usize) + Sync) {
        (0..self.sequences.len() * self.heads).into_par_iter().for_each(|i| {
            let (start, length) = self.sequences[i / self.heads];
            task(start, length, i % self.heads);
        });
    }

    /// `out [rows, width] = softmax(q kᵀ · scale) v` for `qkv [rows, 3 · width]`, sequence by sequence.
    pub fn forward(&self, qkv: &[f32], out: &mut [f32]) {
        let (hw, d) = (self.head_width, self.heads * self.head_width);
        self.check(qkv.len(), out.len());
        let shared = Shared(out.as_mut_ptr());
        self.for_each_head(|start, length, head| {
            let part = |i: usize| Mat::strided(&qkv[start * 3 * d + i * d + head * hw..], length, hw, 3 * d);
            // SAFETY: inside `out` by `check`; sequences do not share rows and heads do not share columns.
            let out = unsafe { shared.block(start, head * hw, length, hw, d) };
            let dropout = self.dropout.map(|dropout| (dropout, start * self.heads + head, self.heads));
            SCRATCH.with_borrow_mut(|scratch| {
                forward_head(part(0), part(1), part(2), self.scale, dropout, out, scratch);
            });
        });
    }

    /// From the output's gradient to `dqkv`, which is overwritten.
    pub fn backward(&self, qkv: &[f32], dout: &[f32], dqkv: &mut [f32]) {
        let (hw, d) = (self.head_width, self.heads * self.head_width);
        self.check(qkv.len(), dout.len());
        assert_eq!(qkv.len(), dqkv.len());
        let shared = Shared(dqkv.as_mut_ptr());
        self.for_each_head(|start, length, head| {
            let part = |i: usize| Mat::strided(&qkv[start * 3 * d + i * d + head * hw..], length, hw, 3 * d);
            // SAFETY: as in `forward`, and queries, keys and values do not share columns.
            let out = [0, 1, 2].map(|i| unsafe { shared.block(start, i * d + head * hw, length, hw, 3 * d) });
            let dout = Mat::strided(&dout[start * d + head * hw..], length, hw, d);
            let dropout = self.dropout.map(|dropout| (dropout, start * self.heads + head, self.heads));
            SCRATCH.with_borrow_mut(|scratch| {
                backward_head([part(0), part(1), part(2)], dout, self.scale, dropout, out, scratch);
            });
        });
    }

    fn check(&self, qkv: usize, out: usize) {
        let d = self.heads * self.head_width;
        assert_eq!(qkv, 3 * out);
        assert!(self.sequences.iter().all(|(start, length)| (start + length) * d <= out));
        assert!(self.sequences.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0), "sequences overlap");
    }
}

/// A dropout mask, the mask row of the first query, and the distance to the next one's.
type HeadDropout = Option<(Dropout, usize, usize)>;

/// Attention of `q [n, width]` over `k`, `v [m, width]`; query `i` sees the keys up to `m − n + i`.
pub fn forward_head(
    q: Mat<'_>,
    k: Mat<'_>,
    v: Mat<'_>,
    scale: f32,
    dropout: HeadDropout,
    mut out: MatMut<'_>,
    scratch: &mut Vec<f32>,
) {
    let before = k.rows - q.rows;
    for first in (0..q.rows).step_by(BLOCK) {
        let n = BLOCK.min(q.rows - first);
        let seen = before + first + n;
        if scratch.len() < n * seen {
            scratch.resize(n * seen, 0.0);
        }
        let p = &mut scratch[..n * seen];
        probabilities(q.row_range(first, n), k.row_range(0, seen), scale, before + first, p);
        if let Some((dropout, row, step)) = dropout {
            for (i, p) in p.chunks_mut(seen).enumerate() {
                mask_row(p, dropout.row((row + (first + i) * step) as u64));
            }
        }
        let v = v.row_range(0, seen);
        gemm(out.row_range(first, n), Mat::new(p, n, seen), v, 1.0, Write::Replace, Threads::One);
    }
}

/// The softmax rows of a block of queries, of which the first sees `before + 1` keys.
fn probabilities(q: Mat<'_>, k: Mat<'_>, scale: f32, before: usize, p: &mut [f32]) {
    let (n, seen) = (q.rows, k.rows);
    gemm(MatMut::new(p, n, seen), q, k.t(), scale, Write::Replace, Threads::One);
    for (i, row) in p.chunks_mut(seen).enumerate() {
        softmax_row(row, before + i + 1);
    }
}

/// Gradients of [`forward_head`] for a whole sequence (`n = m`): writes `dq`, `dk`, `dv`.
fn backward_head(
    [q, k, v]: [Mat<'_>; 3],
    dout: Mat<'_>,
    scale: f32,
    dropout: HeadDropout,
    [mut dq, mut dk, mut dv]: [MatMut<'_>; 3],
    scratch: &mut Vec<f32>,
) {
    // From the last block, which touches every key, back to the first: so the first write replaces.
    let blocks = q.rows.div_ceil(BLOCK);
    for block in (0..blocks).rev() {
        let first = block * BLOCK;
        let n = BLOCK.min(q.rows - first);
        let seen = first + n;
        let write = if block + 1 == blocks { Write::Replace } else { Write::Add };
        let buffers = if dropout.is_some() { 3 } else { 2 };
        if scratch.len() < buffers * n * seen {
            scratch.resize(buffers * n * seen, 0.0);
        }
        let (p, rest) = scratch.split_at_mut(n * seen);
        let (dp, dropped) = rest.split_at_mut(n * seen);
        let (q, k, v) = (q.row_range(first, n), k.row_range(0, seen), v.row_range(0, seen));
        let dout = dout.row_range(first, n);
        let one = Threads::One;
        probabilities(q, k, scale, first, p);
        gemm(MatMut::new(dp, n, seen), dout, v.t(), 1.0, Write::Replace, one);
        let used: &[f32] = match dropout {
            None => p,
            Some((dropout, row, step)) => {
                let dropped = &mut dropped[..n * seen];
                let rows = dp.chunks_mut(seen).zip(p.chunks(seen)).zip(dropped.chunks_mut(seen));
                for (i, ((dp, p), dropped)) in rows.enumerate() {
                    let mask = dropout.row((row + (first + i) * step) as u64);
                    mask_row(dp, mask);
                    masked_copy_row(dropped, p, mask);
                }
                dropped
            }
        };
        gemm(dv.row_range(0, seen), Mat::new(used, n, seen).t(), dout, 1.0, write, one);
        for (p, dp) in p.chunks(seen).zip(dp.chunks_mut(seen)) {
            softmax_backward_row(p, dp);
        }
        let ds = Mat::new(dp, n, seen);
        gemm(dq.row_range(first, n), ds, k, scale, Write::Replace, one);
        gemm(dk.row_range(0, seen), ds.t(), q, scale, write, one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const HEADS: usize = 2;
    const WIDTH: usize = 5;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| Stream::new(seed).normal(i as u64) as f32).collect()
    }

    fn shape<'a>(sequences: &'a [(usize, usize)], dropout: Option<Dropout>) -> Shape<'a> {
        Shape { sequences, heads: HEADS, head_width: WIDTH, scale: 0.4, dropout }
    }

    /// The definition, value by value.
    fn plain(qkv: &[f32], sequences: &[(usize, usize)]) -> Vec<f32> {
        let d = HEADS * WIDTH;
        let mut out = vec![0.0; qkv.len() / 3];
        for &(start, length) in sequences {
            for (i, head) in (0..length).flat_map(|i| (0..HEADS).map(move |h| (i, h))) {
                let at = |row: usize, part: usize, c: usize| {
                    qkv[(start + row) * 3 * d + part * d + head * WIDTH + c]
                };
                let score = |j| (0..WIDTH).map(|c| at(i, 0, c) * at(j, 1, c)).sum::<f32>() * 0.4;
                let weights: Vec<f32> = (0..=i).map(|j| score(j).exp()).collect();
                let total: f32 = weights.iter().sum();
                for c in 0..WIDTH {
                    let mixed: f32 = weights.iter().enumerate().map(|(j, w)| w * at(j, 2, c)).sum();
                    out[(start + i) * d + head * WIDTH + c] = mixed / total;
                }
            }
        }
        out
    }

    #[test]
    fn blocks_and_sequences_agree_with_the_definition() {
        let sequences = [(0, 1), (1, 3), (4, 150)];
        let qkv = random(154 * 3 * HEADS * WIDTH, 1);
        let mut out = vec![0.0; 154 * HEADS * WIDTH];
        shape(&sequences, None).forward(&qkv, &mut out);
        for (a, b) in out.iter().zip(plain(&qkv, &sequences)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }

    #[test]
    fn gradients_agree_with_differences_with_and_without_dropout() {
        let sequences = [(0, 2), (2, 70)];
        let n = 72 * HEADS * WIDTH;
        let (qkv, dout) = (random(3 * n, 2), random(n, 3));
        for dropout in [None, Dropout::new(0.3, Stream::new(5))] {
            let shape = shape(&sequences, dropout);
            let objective = |qkv: &[f32]| {
                let mut out = vec![0.0; n];
                shape.forward(qkv, &mut out);
                out.iter().zip(&dout).map(|(o, d)| f64::from(o * d)).sum::<f64>()
            };
            let mut gradient = vec![f32::NAN; 3 * n];
            shape.backward(&qkv, &dout, &mut gradient);
            for i in (0..3 * n).step_by(53) {
                let moved = |by: f32| {
                    let mut qkv = qkv.clone();
                    qkv[i] += by;
                    objective(&qkv)
                };
                let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!((slope - f64::from(gradient[i])).abs() < 3e-3, "{i}: {slope} {}", gradient[i]);
            }
        }
    }
}
