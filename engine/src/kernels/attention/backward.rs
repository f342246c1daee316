//! The backward pass: block by block of queries, in each a tile of queries at a time.
//!
//! Of a block, probabilities and gradients of scores are right operands with the queries as depth, so that the
//! gradients of keys and values come out turned (`[column][key]`), and large operands are never turned; these gradients
//! add up in the layout of tiles over all blocks and heads of the task.

use super::softmax::{Gradients, Scores, gradients};
use super::{Shape, Task, write_rows};
use crate::kernels::gemm::{
    Element, Left, MOST_ROWS, Mat, MatMut, Right, SQUARE, Threads, Values, Write, reflect, shape, tile,
};
use std::cell::Cell;

/// Queries of a block: a multiple of every tier's strip, and all but two of every tier's tile.
pub const BLOCK: usize = 96;

/// Operands and sums of a task, kept between calls.
#[derive(Default)]
struct Scratch {
    /// Keys and values, with the head's width as depth.
    keys: Right,
    values: Right,
    /// Keys, with the keys as depth.
    keys_deep: Right,
    /// Queries and the output's gradients of a block, and turned.
    queries: [Left; 2],
    dout: [Left; 2],
    /// See [`Gradients`].
    p: Right,
    ds: Right,
    ds_rows: Left,
    scores: Values,
    dp: Values,
    sums: Values,
    dk: Values,
    dv: Values,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// Writes the gradients of a task's queries, keys and values to `out(head)`, counted over all of `qkv`, from the
/// output's gradient over all heads.
pub fn backward<'o, E: Element>(task: &Task<'_, E>, dout: Mat<'_>, out: impl Fn(usize) -> MatMut<'o>) {
    let mut scratch = SCRATCH.take();
    let s = &mut scratch;
    let (tier, width, length) = (task.shape.tier, task.shape.head_width, task.k.rows);
    let (tall, wide) = shape(tier);
    s.keys.pack(tier, task.k.t());
    s.keys_deep.pack(tier, task.k);
    s.values.pack(tier, task.v.t());
    let turned = width.next_multiple_of(tall) * wide;
    let size = length.div_ceil(wide) * turned;
    let (dk, dv) = (s.dk.take(size), s.dv.take(size));
    for (i, head) in task.heads.clone().enumerate() {
        let (q, masks) = (task.queries(head), task.masks(head));
        let dout = dout.col_range(head * width, width);
        let mut dq = out(head);
        for first in (0..length).step_by(BLOCK) {
            let rows = BLOCK.min(length - first);
            let (q, dout) = (q.row_range(first, rows), dout.row_range(first, rows));
            s.queries[0].pack(tier, q, Threads::One);
            s.queries[1].pack(tier, q.t(), Threads::One);
            s.dout[0].pack(tier, dout, Threads::One);
            s.dout[1].pack(tier, dout.t(), Threads::One);
            for operand in [&mut s.p, &mut s.ds] {
                operand.reserve(tier, rows, first + rows);
                if rows < BLOCK {
                    // The depth is filled up to whole squares of words.
                    operand.clear();
                }
            }
            for row in (0..rows).step_by(tall) {
                let count = tall.min(rows - row);
                let seen = first + row + count;
                let strips = seen.div_ceil(wide);
                let scores = s.scores.take(strips * tall * wide);
                let dp = s.dp.take(strips * tall * wide);
                let tiles = scores.chunks_exact_mut(tall * wide).zip(dp.chunks_exact_mut(tall * wide));
                for (strip, (scores, dp)) in tiles.enumerate() {
                    tile((&s.queries[0], row), (&s.keys, strip), s.keys.held(), Write::Replace, scores);
                    tile((&s.dout[0], row), (&s.values, strip), s.values.held(), Write::Replace, dp);
                }
                s.ds_rows.reserve(tier, count, seen);
                let scores =
                    Scores { values: scores, tall, wide, rows: count, seen, scale: task.shape.scale };
                let masks = masks.map(|masks| masks.from(first + row));
                let operands = Gradients { p: &mut s.p, ds: &mut s.ds, ds_rows: &mut s.ds_rows, first: row };
                gradients(scores, dp, tier, masks, operands);
                let (words, sums) = (s.ds_rows.depth().words(), s.sums.take(tall * wide));
                for strip in 0..width.div_ceil(wide) {
                    tile((&s.ds_rows, 0), (&s.keys_deep, strip), 0..words, Write::Replace, sums);
                    let out = dq.block(first + row, count, strip * wide..width.min((strip + 1) * wide));
                    write_rows(out, sums, wide, &[task.shape.scale; MOST_ROWS]);
                }
            }
            let depth = s.queries[1].depth();
            for strip in 0..(first + rows).div_ceil(wide) {
                // Queries before the strip's first key do not see it, and the first block that does comes to it first.
                let hidden = (strip * wide).saturating_sub(first);
                let words = hidden / depth.group()..depth.words();
                let write = if i == 0 && strip * wide >= first { Write::Replace } else { Write::Add };
                for column in (0..width).step_by(tall) {
                    let at = strip * turned + column * wide;
                    let sums = at..at + tall * wide;
                    tile((&s.dout[1], column), (&s.p, strip), words.clone(), write, &mut dv[sums.clone()]);
                    tile((&s.queries[1], column), (&s.ds, strip), words.clone(), write, &mut dk[sums]);
                }
            }
        }
    }
    let Shape { heads, kv_heads, scale, .. } = *task.shape;
    let kv_head = task.heads.start / (heads / kv_heads);
    write_turned(out(heads + kv_head), dk, wide, turned, scale);
    write_turned(out(heads + kv_heads + kv_head), dv, wide, turned, 1.0);
    SCRATCH.set(scratch);
}

/// Writes sums `[strip of rows][column][wide]`, strips `size` apart, times `scale`.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn write_turned<'o>(mut out: MatMut<'o>, sums: &[f32], wide: usize, size: usize, scale: f32) {
    for row in (0..out.rows).step_by(SQUARE) {
        let sums = &sums[row / wide * size + row % wide..];
        for column in (0..out.cols).step_by(SQUARE) {
            let (rows, columns) = (SQUARE.min(out.rows - row), SQUARE.min(out.cols - column));
            let mut square = [[0; SQUARE]; SQUARE];
            for (line, sums) in square.iter_mut().zip(sums[column * wide..].chunks(wide)).take(columns) {
                for (word, sum) in line.iter_mut().zip(sums) {
                    *word = (scale * sum).to_bits();
                }
            }
            reflect(&mut square);
            for (i, line) in square.iter().enumerate().take(rows) {
                let out = &mut out.row_mut(row + i)[column..column + columns];
                for (out, word) in out.iter_mut().zip(line) {
                    *out = f32::from_bits(*word);
                }
            }
        }
    }
}
