//! Causal attention of one head over one sequence, in blocks of queries.
//!
//! A block of queries sees the keys up to its last one, so the masked half is mostly skipped, and the scores
//! of one block are all that is ever held. The backward pass computes the probabilities again.

use super::gemm::{Mat, MatMut, Threads, Write, gemm};
use super::math::dot;
use super::softmax::{mask_row, masked_copy_row, softmax_backward_row, softmax_row};
use super::tier::Tier;
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
    pub tier: Tier,
    /// First row and length of each sequence.
    pub sequences: &'a [(usize, usize)],
    pub heads: usize,
    /// Heads of keys and values; each serves `heads / kv_heads` heads of queries in turn.
    pub kv_heads: usize,
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
    /// Calls `task(first row, length, head)` for each of `heads` heads of each sequence, in parallel.
    fn for_each_head(&self, heads: usize, task: impl Fn(usize, usize, usize) + Sync) {
        (0..self.sequences.len() * heads).into_par_iter().for_each(|i| {
            let (start, length) = self.sequences[i / heads];
            task(start, length, i % heads);
        });
    }

    /// Columns of queries, keys and values of a row, and of one output.
    fn widths(&self) -> (usize, usize) {
        ((self.heads + 2 * self.kv_heads) * self.head_width, self.heads * self.head_width)
    }

    /// First columns of the queries, keys and values of a head of queries.
    fn columns(&self, head: usize) -> [usize; 3] {
        let shared = head / (self.heads / self.kv_heads);
        [head, self.heads + shared, self.heads + self.kv_heads + shared].map(|head| head * self.head_width)
    }

    fn dropout_of(&self, start: usize, head: usize) -> HeadDropout {
        self.dropout.map(|dropout| (dropout, start * self.heads + head, self.heads))
    }

    /// `out [rows, heads · head_width] = softmax(q kᵀ · scale) v`, sequence by sequence, for
    /// `qkv [rows, (heads + 2 · kv_heads) · head_width]`.
    pub fn forward(&self, qkv: &[f32], out: &mut [f32]) {
        let (hw, (wide, d)) = (self.head_width, self.widths());
        self.check(qkv.len(), out.len());
        let shared = Shared(out.as_mut_ptr());
        self.for_each_head(self.heads, |start, length, head| {
            let [q, k, v] = self
                .columns(head)
                .map(|column| Mat::strided(&qkv[start * wide + column..], length, hw, wide));
            // SAFETY: inside `out` by `check`; sequences do not share rows and heads do not share columns.
            let out = unsafe { shared.block(start, head * hw, length, hw, d) };
            let dropout = self.dropout_of(start, head);
            let head = Head { tier: self.tier, q, k, v, scale: self.scale, dropout };
            SCRATCH.with_borrow_mut(|scratch| head.forward(out, scratch));
        });
    }

    /// From the output's gradient to `dqkv`, which is overwritten. The queries' heads that share keys and values add
    /// up their gradients one after the other, so that the order is fixed.
    pub fn backward(&self, qkv: &[f32], dout: &[f32], dqkv: &mut [f32]) {
        let (hw, (wide, d)) = (self.head_width, self.widths());
        self.check(qkv.len(), dout.len());
        assert_eq!(qkv.len(), dqkv.len());
        let shared = Shared(dqkv.as_mut_ptr());
        let group = self.heads / self.kv_heads;
        self.for_each_head(self.kv_heads, |start, length, kv_head| {
            for head in kv_head * group..(kv_head + 1) * group {
                let columns = self.columns(head);
                let [q, k, v] =
                    columns.map(|column| Mat::strided(&qkv[start * wide + column..], length, hw, wide));
                // SAFETY: as in `forward`; queries, keys and values do not share columns, and the heads of a group,
                // which share keys and values, are handled by this task alone, one after the other.
                let out = columns.map(|column| unsafe { shared.block(start, column, length, hw, wide) });
                let dout = Mat::strided(&dout[start * d + head * hw..], length, hw, d);
                let write = if head == kv_head * group { Write::Replace } else { Write::Add };
                let dropout = self.dropout_of(start, head);
                let head = Head { tier: self.tier, q, k, v, scale: self.scale, dropout };
                SCRATCH.with_borrow_mut(|scratch| head.backward(dout, out, write, scratch));
            }
        });
    }

    fn check(&self, qkv: usize, out: usize) {
        let (wide, d) = self.widths();
        assert!(self.heads.is_multiple_of(self.kv_heads), "heads do not share keys evenly");
        assert_eq!(qkv / wide * d, out);
        assert!(self.sequences.iter().all(|(start, length)| (start + length) * d <= out));
        assert!(self.sequences.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0), "sequences overlap");
    }
}

/// A dropout mask, the mask row of the first query, and the distance to the next one's.
pub type HeadDropout = Option<(Dropout, usize, usize)>;

/// One head of one sequence: `q [n, width]` over `k`, `v [m, width]`; query `i` sees the keys up to `m − n + i`.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    pub tier: Tier,
    pub q: Mat<'a>,
    pub k: Mat<'a>,
    pub v: Mat<'a>,
    pub scale: f32,
    pub dropout: HeadDropout,
}

impl Head<'_> {
    /// Writes the head's output `[n, width]`.
    pub fn forward(self, mut out: MatMut<'_>, scratch: &mut Vec<f32>) {
        let Self { tier, q, k, v, scale, dropout } = self;
        if q.rows == 1 && dropout.is_none() {
            return self.forward_one(out, scratch);
        }
        let before = k.rows - q.rows;
        for first in (0..q.rows).step_by(BLOCK) {
            let n = BLOCK.min(q.rows - first);
            let seen = before + first + n;
            if scratch.len() < n * seen {
                scratch.resize(n * seen, 0.0);
            }
            let p = &mut scratch[..n * seen];
            probabilities(tier, q.row_range(first, n), k.row_range(0, seen), scale, before + first, p);
            if let Some((dropout, row, step)) = dropout {
                for (i, p) in p.chunks_mut(seen).enumerate() {
                    mask_row(p, dropout.row((row + (first + i) * step) as u64));
                }
            }
            let v = v.row_range(0, seen);
            gemm(tier, out.row_range(first, n), Mat::new(p, n, seen), v, 1.0, Write::Replace, Threads::One);
        }
    }

    /// One query, as generation has it: no product is worth packing for it.
    fn forward_one(self, mut out: MatMut<'_>, scratch: &mut Vec<f32>) {
        if scratch.len() < self.k.rows {
            scratch.resize(self.k.rows, 0.0);
        }
        let p = &mut scratch[..self.k.rows];
        scores_of_one(self.q.row(0), self.k, self.scale, p);
        softmax_row(p, self.k.rows);
        mix(p, self.v, out.row_mut(0));
    }

    /// Gradients for a whole sequence (`n = m`): writes `dq`, and writes or adds to `dk` and `dv`.
    fn backward(
        self,
        dout: Mat<'_>,
        [mut dq, mut dk, mut dv]: [MatMut<'_>; 3],
        shared: Write,
        scratch: &mut Vec<f32>,
    ) {
        let Self { tier, q, k, v, scale, dropout } = self;
        // From the last block, which touches every key, back to the first: so the first write replaces.
        let blocks = q.rows.div_ceil(BLOCK);
        for block in (0..blocks).rev() {
            let first = block * BLOCK;
            let n = BLOCK.min(q.rows - first);
            let seen = first + n;
            let write = if block + 1 == blocks { shared } else { Write::Add };
            let buffers = if dropout.is_some() { 3 } else { 2 };
            if scratch.len() < buffers * n * seen {
                scratch.resize(buffers * n * seen, 0.0);
            }
            let (p, rest) = scratch.split_at_mut(n * seen);
            let (dp, dropped) = rest.split_at_mut(n * seen);
            let (q, k, v) = (q.row_range(first, n), k.row_range(0, seen), v.row_range(0, seen));
            let dout = dout.row_range(first, n);
            let one = Threads::One;
            probabilities(tier, q, k, scale, first, p);
            gemm(tier, MatMut::new(dp, n, seen), dout, v.t(), 1.0, Write::Replace, one);
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
            gemm(tier, dv.row_range(0, seen), Mat::new(used, n, seen).t(), dout, 1.0, write, one);
            for (p, dp) in p.chunks(seen).zip(dp.chunks_mut(seen)) {
                softmax_backward_row(p, dp);
            }
            let ds = Mat::new(dp, n, seen);
            gemm(tier, dq.row_range(first, n), ds, k, scale, Write::Replace, one);
            gemm(tier, dk.row_range(0, seen), ds.t(), q, scale, write, one);
        }
    }
}

/// `p [j] = scale · q · k [j]`.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn scores_of_one<'a>(q: &[f32], k: Mat<'a>, scale: f32, p: &mut [f32]) {
    for (j, p) in p.iter_mut().enumerate() {
        *p = scale * dot(q, k.row(j));
    }
}

/// `out = Σ p [j] · v [j]`.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn mix<'a>(p: &[f32], v: Mat<'a>, out: &mut [f32]) {
    out.fill(0.0);
    for (j, p) in p.iter().enumerate() {
        for (out, v) in out.iter_mut().zip(v.row(j)) {
            *out += p * v;
        }
    }
}

/// The softmax rows of a block of queries, of which the first sees `before + 1` keys.
fn probabilities(tier: Tier, q: Mat<'_>, k: Mat<'_>, scale: f32, before: usize, p: &mut [f32]) {
    let (n, seen) = (q.rows, k.rows);
    gemm(tier, MatMut::new(p, n, seen), q, k.t(), scale, Write::Replace, Threads::One);
    for (i, row) in p.chunks_mut(seen).enumerate() {
        softmax_row(row, before + i + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const HEADS: usize = 4;
    const WIDTH: usize = 5;
    /// As many heads of keys as of queries, fewer, and one.
    const KV_HEADS: [usize; 3] = [4, 2, 1];

    fn random(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| Stream::new(seed).normal(i as u64) as f32).collect()
    }

    fn shape(sequences: &[(usize, usize)], kv_heads: usize, dropout: Option<Dropout>) -> Shape<'_> {
        Shape {
            tier: Tier::best_f32(),
            sequences,
            heads: HEADS,
            kv_heads,
            head_width: WIDTH,
            scale: 0.4,
            dropout,
        }
    }

    /// The definition, value by value.
    fn plain(qkv: &[f32], sequences: &[(usize, usize)], kv_heads: usize) -> Vec<f32> {
        let (d, wide) = (HEADS * WIDTH, (HEADS + 2 * kv_heads) * WIDTH);
        let mut out = vec![0.0; qkv.len() / wide * d];
        for &(start, length) in sequences {
            for (i, head) in (0..length).flat_map(|i| (0..HEADS).map(move |h| (i, h))) {
                let kv = head * kv_heads / HEADS;
                let heads = [head, HEADS + kv, HEADS + kv_heads + kv];
                let at =
                    |row: usize, part: usize, c: usize| qkv[(start + row) * wide + heads[part] * WIDTH + c];
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
        for kv_heads in KV_HEADS {
            let qkv = random(154 * (HEADS + 2 * kv_heads) * WIDTH, 1);
            let mut out = vec![0.0; 154 * HEADS * WIDTH];
            shape(&sequences, kv_heads, None).forward(&qkv, &mut out);
            for (a, b) in out.iter().zip(plain(&qkv, &sequences, kv_heads)) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }

    #[test]
    fn one_query_sees_what_it_sees_among_others() {
        let (n, width) = (70, 24);
        let [q, k, v] = [1, 2, 3].map(|seed| random(n * width, seed));
        let [q, k, v] = [&q, &k, &v].map(|values| Mat::new(values, n, width));
        let head = |q, k, v| Head { tier: Tier::best_f32(), q, k, v, scale: 0.3, dropout: None };
        let (mut all, mut one, mut scratch) = (vec![0.0; n * width], vec![0.0; width], Vec::new());
        head(q, k, v).forward(MatMut::new(&mut all, n, width), &mut scratch);
        for (i, row) in all.chunks(width).enumerate() {
            let (k, v) = (k.row_range(0, i + 1), v.row_range(0, i + 1));
            head(q.row_range(i, 1), k, v).forward(MatMut::new(&mut one, 1, width), &mut scratch);
            assert!(row.iter().zip(&one).all(|(a, b)| (a - b).abs() < 1e-5), "query {i}");
        }
    }

    #[test]
    fn gradients_agree_with_differences_with_and_without_dropout() {
        let sequences = [(0, 2), (2, 70)];
        let n = 72 * HEADS * WIDTH;
        for kv_heads in KV_HEADS {
            let wide = 72 * (HEADS + 2 * kv_heads) * WIDTH;
            let (qkv, dout) = (random(wide, 2), random(n, 3));
            for dropout in [None, Dropout::new(0.3, Stream::new(5))] {
                let shape = shape(&sequences, kv_heads, dropout);
                let objective = |qkv: &[f32]| {
                    let mut out = vec![0.0; n];
                    shape.forward(qkv, &mut out);
                    out.iter().zip(&dout).map(|(o, d)| f64::from(o * d)).sum::<f64>()
                };
                let mut gradient = vec![f32::NAN; wide];
                shape.backward(&qkv, &dout, &mut gradient);
                for i in (0..wide).step_by(53) {
                    let moved = |by: f32| {
                        let mut qkv = qkv.clone();
                        qkv[i] += by;
                        objective(&qkv)
                    };
                    let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                    let off = (slope - f64::from(gradient[i])).abs();
                    assert!(off < 4e-3, "{kv_heads} {i}: {slope} {}", gradient[i]);
                }
            }
        }
    }
}
