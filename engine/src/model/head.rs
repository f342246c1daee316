//! The last norm, the projection to the vocabulary and the loss, for the predicted rows only.
//!
//! Rows are handled in pieces, so that logits of all tokens never exist at once, and rows whose target is
//! ignored cost nothing.

use super::gradients::Gradients;
use super::workspace::{HEAD_ROWS, HeadScratch};
use super::{IGNORE, LossSum, Model};
use crate::kernels::cross_entropy::cross_entropy;
use crate::kernels::gemm::{Mat, MatMut, Write};

impl Model {
    /// `logits [rows, vocab] = x [rows, width] · headᵀ`.
    pub(crate) fn project(&self, x: &[f32], logits: &mut [f32]) {
        let (d, v) = (self.architecture.width, self.architecture.vocab);
        let rows = x.len() / d;
        let (out, x) = (MatMut::new(logits, rows, v), Mat::new(x, rows, d));
        self.times(out, x, &self.head(), false, Write::Replace);
    }

    /// The loss of the rows that have a target. With gradients, also adds those of the head and the last
    /// norm and writes the residual stream's gradient `[rows, width]`.
    pub(crate) fn head_loss(
        &self,
        residual: &[f32],
        targets: &[u32],
        scratch: &mut HeadScratch,
        mut backward: Option<(&mut Gradients, &mut [f32])>,
    ) -> LossSum {
        let (d, v) = (self.architecture.width, self.architecture.vocab);
        let norm = self.layout.last_norm;
        let predicted: Vec<usize> = (0..targets.len()).filter(|&row| targets[row] != IGNORE).collect();
        if let Some((_, dx)) = &mut backward {
            dx.fill(0.0);
        }
        let mut nats = 0.0;
        for rows in predicted.chunks(HEAD_ROWS) {
            let n = rows.len();
            let x = &mut scratch.residual[..n * d];
            let normed = &mut scratch.normed[..n * d];
            let statistics = &mut scratch.statistics[..n];
            let logits = &mut scratch.logits[..n * v];
            for (x, &row) in x.chunks_mut(d).zip(rows) {
                x.copy_from_slice(&residual[row * d..][..d]);
            }
            let wanted: Vec<u32> = rows.iter().map(|&row| targets[row]).collect();
            self.normalise(norm, x, normed, statistics);
            self.project(normed, logits);
            nats += cross_entropy(logits, v, &wanted, backward.is_some());
            let Some((gradients, dx)) = &mut backward else { continue };
            let logits = Mat::new(logits, n, v);
            if let Some(dw) = gradients.matrix(self.layout.head) {
                self.add_gradient(dw, &self.head(), Mat::new(normed, n, d), logits);
            }
            let dnormed = &mut scratch.hidden[..n * d];
            self.times(MatMut::new(dnormed, n, d), logits, &self.head(), true, Write::Replace);
            let dresidual = &mut scratch.gradient[..n * d];
            dresidual.fill(0.0);
            self.normalise_backward(norm, x, dnormed, statistics, dresidual, gradients);
            for (from, &row) in dresidual.chunks(d).zip(rows) {
                dx[row * d..][..d].copy_from_slice(from);
            }
        }
        LossSum { nats, tokens: predicted.len() }
    }
}
