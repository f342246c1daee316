//! The forward pass: a tile of queries at a time, over all keys that its last query sees.

use super::softmax::{Scores, probabilities};
use super::{Task, write_rows};
use crate::kernels::gemm::{Element, Left, MOST_ROWS, MatMut, Right, Threads, Values, Write, shape, tile};
use std::cell::Cell;

/// Operands and sums of a task, kept between calls.
#[derive(Default)]
struct Scratch {
    /// Keys, with the head's width as depth.
    keys: Right,
    /// Values, with the keys as depth.
    values: Right,
    queries: Left,
    probabilities: Left,
    scores: Values,
    sums: Values,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// Writes the outputs of a task's heads to `out(head, first row, rows)`.
pub fn forward<'o, E: Element>(task: &Task<'_, E>, out: impl Fn(usize, usize, usize) -> MatMut<'o>) {
    let mut scratch = SCRATCH.take();
    let Scratch { keys, values, queries, probabilities: p, scores, sums } = &mut scratch;
    let (tier, scale) = (task.shape.tier, task.shape.scale);
    let (tall, wide) = shape(tier);
    keys.pack(tier, task.k.t());
    values.pack(tier, task.v);
    let sums = sums.take(tall * wide);
    for head in task.heads.clone() {
        let (q, masks) = (task.queries(head), task.masks(head));
        let before = task.k.rows - q.rows;
        for first in (0..q.rows).step_by(tall) {
            let rows = tall.min(q.rows - first);
            let seen = before + first + rows;
            let strips = seen.div_ceil(wide);
            queries.pack(tier, q.row_range(first, rows), Threads::One);
            let scores = scores.take(strips * tall * wide);
            for (strip, scores) in scores.chunks_exact_mut(tall * wide).enumerate() {
                tile((queries, 0), (keys, strip), keys.held(), Write::Replace, scores);
            }
            p.reserve(tier, rows, seen);
            let scores = Scores { values: scores, tall, wide, rows, seen, scale };
            probabilities(scores, tier, masks.map(|masks| masks.from(first)), p);
            let mut out = out(head, first, rows);
            for strip in 0..out.cols.div_ceil(wide) {
                tile((p, 0), (values, strip), 0..p.depth().words(), Write::Replace, sums);
                let columns = strip * wide..out.cols.min((strip + 1) * wide);
                write_rows(out.block(0, rows, columns), sums, wide, &[1.0; MOST_ROWS]);
            }
        }
    }
    SCRATCH.set(scratch);
}
