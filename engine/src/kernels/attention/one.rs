//! A single query, as generation has it: no product is worth packing for it.

use super::Task;
use crate::kernels::gemm::{Element, Mat, MatMut};
use crate::kernels::math::dot;
use crate::kernels::softmax::softmax_row;
use std::cell::RefCell;

thread_local! {
    /// The scores of one head, kept between calls.
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Writes the outputs of a task's heads to `out(head, first row, rows)`.
pub fn forward<'o, E: Element>(task: &Task<'_, E>, out: impl Fn(usize, usize, usize) -> MatMut<'o>) {
    task.heads.clone().for_each(|head| forward_head(task, head, out(head, 0, 1).row_mut(0)));
}

/// Writes the output of one of the task's heads.
pub fn forward_head<E: Element>(task: &Task<'_, E>, head: usize, out: &mut [f32]) {
    let (k, v) = (task.k, task.v);
    SCORES.with_borrow_mut(|scores| {
        if scores.len() < k.rows {
            scores.resize(k.rows, 0.0);
        }
        let p = &mut scores[..k.rows];
        scores_of_one(task.queries(head).row(0), k, task.shape.scale, p);
        softmax_row(p, k.rows);
        mix(p, v, out);
    });
}

/// `p [j] = scale · q · k [j]`.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn scores_of_one<'a, E: Element>(q: &[E], k: Mat<'a, E>, scale: f32, p: &mut [f32]) {
    for (j, p) in p.iter_mut().enumerate() {
        *p = scale * dot(q, k.row(j));
    }
}

/// `out = Σ p [j] · v [j]`.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn mix<'a, E: Element>(p: &[f32], v: Mat<'a, E>, out: &mut [f32]) {
    out.fill(0.0);
    for (j, p) in p.iter().enumerate() {
        for (out, v) in out.iter_mut().zip(v.row(j)) {
            *out += p * v.to_f32();
        }
    }
}
