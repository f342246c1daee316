//! Causal attention over the heads of sequences.
//!
//! A task has the heads of queries that share keys and values in one sequence. It packs keys and values once, and runs
//! tiles of the matrix product over them directly: scores stay in the layout that a tile writes, and the softmax writes
//! probabilities in the layout that the next tile reads. What the causal mask hides is not computed, but for the rest
//! of a tile. The backward pass computes the probabilities again.
//!
//! | file | what it is for |
//! |---|---|
//! | `forward` | the heads' outputs |
//! | `backward` | the gradients of queries, keys and values |
//! | `softmax` | probabilities and their gradients, from tiles to operands |
//! | `words` | how operands are written |
//! | `one` | a single query, as generation has it |

mod backward;
mod forward;
mod one;
mod softmax;
mod words;

pub use backward::BLOCK;

use super::gemm::{Element, Mat, MatMut, Shared};
use super::tier::Tier;
use crate::rng::{Dropout, DropoutRow};
use rayon::prelude::*;
use std::ops::Range;

/// Multiplications that a task should at least have, so that handing it out costs little beside them.
const TASK_PRODUCTS: usize = 1 << 18;

/// Heads, and what is done to their scores.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub tier: Tier,
    pub heads: usize,
    /// Heads of keys and values; each serves `heads / kv_heads` heads of queries in turn.
    pub kv_heads: usize,
    pub head_width: usize,
    /// Scores are multiplied by this.
    pub scale: f32,
    pub dropout: Option<Dropout>,
}

/// One sequence, its heads side by side: `q [n, heads · width]` over `k`, `v [m, kv_heads · width]`. Query `i` sees the
/// keys up to `m − n + i`.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a, E = f32> {
    /// The row of the output that belongs to the first query.
    pub row: usize,
    pub q: Mat<'a, E>,
    pub k: Mat<'a, E>,
    pub v: Mat<'a, E>,
}

/// The dropout masks of one head of one sequence.
#[derive(Debug, Clone, Copy)]
struct Masks {
    dropout: Dropout,
    /// The mask's row of the first query, and the distance to the next one's.
    row: usize,
    step: usize,
}

impl Masks {
    /// The masks from a query on.
    fn from(self, query: usize) -> Self {
        Self { row: self.row + query * self.step, ..self }
    }

    fn row(self, query: usize) -> DropoutRow {
        self.dropout.row((self.row + query * self.step) as u64)
    }
}

/// Writes the sums of a tile, each row times its factor.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn write_rows<'a>(mut out: MatMut<'a>, sums: &[f32], wide: usize, factors: &[f32]) {
    let rows = out.rows;
    for ((row, sums), factor) in sums.chunks_exact(wide).enumerate().take(rows).zip(factors) {
        out.row_mut(row).iter_mut().zip(sums).for_each(|(out, sum)| *out = factor * sum);
    }
}

/// Queries that share keys and values: some heads of one sequence.
struct Task<'a, E> {
    shape: &'a Shape,
    sequence: Sequence<'a, E>,
    /// Heads of queries.
    heads: Range<usize>,
    k: Mat<'a, E>,
    v: Mat<'a, E>,
}

impl<'a, E: Element> Task<'a, E> {
    fn new(shape: &'a Shape, sequence: Sequence<'a, E>, heads: Range<usize>) -> Self {
        let width = shape.head_width;
        let kv_column = heads.start / (shape.heads / shape.kv_heads) * width;
        let [k, v] = [sequence.k, sequence.v].map(|part| part.col_range(kv_column, width));
        Self { shape, sequence, heads, k, v }
    }

    fn queries(&self, head: usize) -> Mat<'a, E> {
        let width = self.shape.head_width;
        self.sequence.q.col_range(head * width, width)
    }

    fn masks(&self, head: usize) -> Option<Masks> {
        let step = self.shape.heads;
        self.shape.dropout.map(|dropout| Masks { dropout, row: self.sequence.row * step + head, step })
    }
}

impl Shape {
    /// Columns of queries, keys and values of a row, and of one output.
    fn widths(&self) -> (usize, usize) {
        ((self.heads + 2 * self.kv_heads) * self.head_width, self.heads * self.head_width)
    }

    /// The sequences of a batch `qkv [rows, (heads + 2 · kv_heads) · head_width]`, from the first row and length of each.
    pub fn sequences<'a, E: Element>(&self, qkv: &'a [E], places: &[(usize, usize)]) -> Vec<Sequence<'a, E>> {
        let (wide, d) = self.widths();
        let kv = self.kv_heads * self.head_width;
        let part = |(row, length): (usize, usize), column: usize, width: usize| {
            Mat::strided(&qkv[row * wide + column..], length, width, wide)
        };
        let sequence = |&place: &(usize, usize)| {
            let (q, k, v) = (part(place, 0, d), part(place, d, kv), part(place, d + kv, kv));
            Sequence { row: place.0, q, k, v }
        };
        places.iter().map(sequence).collect()
    }

    /// `out [rows, heads · head_width] = softmax(q kᵀ · scale) v`, sequence by sequence.
    ///
    /// # Panics
    /// If the sequences do not fit the shape or the output.
    pub fn forward<E: Element>(&self, sequences: &[Sequence<'_, E>], out: &mut [f32]) {
        let out = self.output(sequences, out);
        let threads = rayon::current_num_threads();
        let group = self.heads / self.kv_heads;
        // Rows depend on nothing but themselves, so that the cut into tasks changes no bit.
        let heads = if sequences.len() * self.kv_heads >= 2 * threads { group } else { 1 };
        self.for_each_task(sequences, heads, |task| {
            // SAFETY: inside the output by `Shape::output`; tasks do not share rows and columns.
            let out = |head: usize, first, rows| unsafe {
                let column = head * self.head_width;
                out.block(task.sequence.row + first, rows, column..column + self.head_width)
            };
            match task.sequence.q.rows {
                1 if self.dropout.is_none() => one::forward(&task, out),
                _ => forward::forward(&task, out),
            }
        });
    }

    /// The output `[head_width]` of one head of a sequence with a single query, computed by the calling thread to the
    /// bits of [`Shape::forward`].
    pub fn forward_one<E: Element>(&self, sequence: Sequence<'_, E>, head: usize, out: &mut [f32]) {
        one::forward_head(&Task::new(self, sequence, head..head + 1), head, out);
    }

    /// From the output's gradient to that of `qkv`, which is overwritten, for the sequences of a batch.
    ///
    /// # Panics
    /// If the sequences do not fit the shape or the gradients.
    pub fn backward<E: Element>(&self, sequences: &[Sequence<'_, E>], dout: &[f32], dqkv: &mut [f32]) {
        let (wide, d) = self.widths();
        let rows = dout.len() / d;
        let dqkv = Shared::of(MatMut::new(dqkv, rows, wide));
        let width = self.head_width;
        // Of heads that share keys and values the gradients are added one after the other, so that the order is fixed.
        self.for_each_task(sequences, self.heads / self.kv_heads, |task| {
            let Sequence { row, q, k, .. } = task.sequence;
            assert!(q.rows == k.rows && row + q.rows <= rows, "not a sequence of this batch");
            let dout = Mat::new(dout, rows, d).row_range(row, q.rows);
            // SAFETY: inside the gradient, as asserted; tasks do not share rows and columns.
            let out =
                |column: usize| unsafe { dqkv.block(row, q.rows, column * width..(column + 1) * width) };
            backward::backward(&task, dout, out);
        });
    }

    /// Calls `run` for each `heads` heads of queries of each sequence, in parallel.
    fn for_each_task<'a, E: Element>(
        &'a self,
        sequences: &[Sequence<'a, E>],
        heads: usize,
        run: impl Fn(Task<'a, E>) + Sync,
    ) {
        let tasks = self.heads / heads;
        let products: usize =
            sequences.iter().map(|s| 2 * s.q.rows * s.k.rows * self.heads * self.head_width).sum();
        let fewest = TASK_PRODUCTS * sequences.len() * tasks / products.max(1);
        (0..sequences.len() * tasks).into_par_iter().with_min_len(fewest.max(1)).for_each(|i| {
            let first = i % tasks * heads;
            run(Task::new(self, sequences[i / tasks], first..first + heads));
        });
    }

    /// The output, which all sequences fit without sharing rows.
    fn output<E: Element>(&self, sequences: &[Sequence<'_, E>], out: &mut [f32]) -> Shared {
        let (_, d) = self.widths();
        let kv = self.kv_heads * self.head_width;
        assert!(self.heads.is_multiple_of(self.kv_heads), "heads do not share keys evenly");
        for Sequence { row, q, k, v } in sequences {
            assert!((q.cols, k.cols, v.cols) == (d, kv, kv), "widths do not fit the heads");
            assert!(q.rows <= k.rows && k.rows == v.rows && (row + q.rows) * d <= out.len());
        }
        assert!(sequences.windows(2).all(|w| w[0].row + w[0].q.rows <= w[1].row), "sequences overlap");
        let rows = out.len() / d;
        Shared::of(MatMut::new(out, rows, d))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::tier::Precision;
    use crate::rng::Stream;

    const HEADS: usize = 4;
    const WIDTH: usize = 5;
    /// As many heads of keys as of queries, fewer, and one.
    const KV_HEADS: [usize; 3] = [4, 2, 1];

    fn random(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| Stream::new(seed).normal(i as u64) as f32).collect()
    }

    fn shape(kv_heads: usize, dropout: Option<Dropout>) -> Shape {
        Shape { tier: Tier::best_f32(), heads: HEADS, kv_heads, head_width: WIDTH, scale: 0.4, dropout }
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
    fn tiles_and_sequences_agree_with_the_definition_on_every_tier() {
        let places = [(0, 1), (1, 3), (4, 150), (154, 96)];
        for (kv_heads, tier) in KV_HEADS.into_iter().flat_map(|kv| Tier::available().map(move |t| (kv, t))) {
            let qkv = random(250 * (HEADS + 2 * kv_heads) * WIDTH, 1);
            let mut out = vec![f32::NAN; 250 * HEADS * WIDTH];
            let shape = Shape { tier, ..shape(kv_heads, None) };
            shape.forward(&shape.sequences(&qkv, &places), &mut out);
            let most = if tier.precision() == Precision::F32 { 1e-5 } else { 2e-2 };
            for (a, b) in out.iter().zip(plain(&qkv, &places, kv_heads)) {
                assert!((a - b).abs() < most, "{tier}: {a} {b}");
            }
        }
    }

    /// Heads of many widths, over more keys than one block of the depth holds.
    #[test]
    fn some_queries_see_what_they_see_among_all() {
        for (n, width, tier) in [(70, 24), (330, 80), (600, 7), (3, 600)]
            .into_iter()
            .flat_map(|(n, width)| Tier::available().map(move |tier| (n, width, tier)))
        {
            let [q, k, v] = [1, 2, 3].map(|seed| random(n * width, seed));
            let [q, k, v] = [&q, &k, &v].map(|values| Mat::new(values, n, width));
            let shape = Shape { tier, heads: 1, kv_heads: 1, head_width: width, scale: 0.3, dropout: None };
            let mut all = vec![0.0; n * width];
            shape.forward(&[Sequence { row: 0, q, k, v }], &mut all);
            let most = if tier.precision() == Precision::F32 { 1e-4 } else { 5e-2 };
            for (first, rows) in [(0, 1), (1, 2), (n / 2, n / 3), (n - 1, 1), (n / 3, n - n / 3)] {
                let mut some = vec![0.0; rows * width];
                let (q, seen) = (q.row_range(first, rows), first + rows);
                let sequence = Sequence { row: 0, q, k: k.row_range(0, seen), v: v.row_range(0, seen) };
                shape.forward(&[sequence], &mut some);
                let close = |(a, b): (&f32, &f32)| (a - b).abs() < most;
                assert!(all[first * width..].iter().zip(&some).all(close), "{tier}, {rows} from {first} on");
            }
        }
    }

    #[test]
    fn gradients_of_every_tier_are_those_of_plain_loops() {
        let places = [(0, 2), (2, 1), (3, 260), (263, 96)];
        let rows = 359;
        for (kv_heads, dropout) in
            KV_HEADS.into_iter().flat_map(|kv| [None, Dropout::new(0.3, Stream::new(5))].map(|d| (kv, d)))
        {
            let wide = (HEADS + 2 * kv_heads) * WIDTH;
            let (qkv, dout) = (random(rows * wide, 2), random(rows * HEADS * WIDTH, 3));
            let run = |tier| {
                let shape = Shape { tier, ..shape(kv_heads, dropout) };
                let mut gradient = vec![f32::NAN; rows * wide];
                shape.backward(&shape.sequences(&qkv, &places), &dout, &mut gradient);
                gradient
            };
            let expected = run(Tier::Scalar);
            let norm = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
            for tier in Tier::available() {
                let off: Vec<f32> = run(tier).iter().zip(&expected).map(|(a, b)| a - b).collect();
                let most = if tier.precision() == Precision::F32 { 1e-6 } else { 1e-2 };
                assert!(norm(&off) < most * norm(&expected), "{tier}: {}", norm(&off) / norm(&expected));
            }
        }
    }

    #[test]
    fn gradients_agree_with_differences_with_and_without_dropout() {
        let places = [(0, 2), (2, 70)];
        let n = 72 * HEADS * WIDTH;
        for kv_heads in KV_HEADS {
            let wide = 72 * (HEADS + 2 * kv_heads) * WIDTH;
            let (qkv, dout) = (random(wide, 2), random(n, 3));
            for dropout in [None, Dropout::new(0.3, Stream::new(5))] {
                let shape = shape(kv_heads, dropout);
                let objective = |qkv: &[f32]| {
                    let mut out = vec![0.0; n];
                    shape.forward(&shape.sequences(qkv, &places), &mut out);
                    out.iter().zip(&dout).map(|(o, d)| f64::from(o * d)).sum::<f64>()
                };
                let mut gradient = vec![f32::NAN; wide];
                shape.backward(&shape.sequences(&qkv, &places), &dout, &mut gradient);
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
