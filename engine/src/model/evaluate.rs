//! The loss of a batch without gradients.

use super::{Batch, Keep, LossSum, Model, ModelError, Pass, Workspace, in_pool};

/// Tokens that one piece of an evaluation aims at.
const PIECE: usize = 2048;

impl Model {
    /// Sum of the losses of the predicted tokens, without dropout. Works through the sequences in pieces, so
    /// that memory does not grow with the batch.
    pub fn loss(&self, batch: &Batch) -> Result<LossSum, ModelError> {
        batch.check(self)?;
        in_pool(|| {
            let mut work = Workspace::default();
            let mut total = LossSum::default();
            let mut row = 0;
            let mut lengths = batch.lengths.as_slice();
            while !lengths.is_empty() {
                let mut rows = 0;
                let fits = |&&length: &&usize| {
                    let take = rows == 0 || rows + length <= PIECE;
                    rows += if take { length } else { 0 };
                    take
                };
                let count = lengths.iter().take_while(fits).count();
                let (now, rest) = lengths.split_at(count);
                let piece = Batch {
                    ids: batch.ids[row..row + rows].to_vec(),
                    targets: batch.targets[row..row + rows].to_vec(),
                    lengths: now.to_vec(),
                };
                total += self.piece_loss(&piece, &mut work);
                row += rows;
                lengths = rest;
            }
            Ok(total)
        })
    }

    fn piece_loss(&self, batch: &Batch, work: &mut Workspace) -> LossSum {
        let sequences = batch.sequences();
        let pass = Pass { rows: batch.ids.len(), sequences: &sequences, dropout: None };
        work.reserve(self, pass.rows, Keep::Nothing);
        let last = self.forward(batch, &pass, work, Keep::Nothing);
        let residual = &work.residual[last][..pass.rows * self.architecture.width];
        self.head_loss(residual, &batch.targets, &mut work.head, None)
    }
}
