//! What one pass reads: sequences laid end to end, without padding.

use super::{Model, ModelError};

/// A target that is not to be predicted (a prompt's token, the last token of a sequence).
pub const IGNORE: u32 = u32::MAX;

/// Sequences laid end to end. Each attends to itself only and counts its positions from 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Token ids of all sequences.
    pub ids: Vec<u32>,
    /// For each token the one that follows it, or [`IGNORE`].
    pub targets: Vec<u32>,
    /// Length of each sequence; they add up to the number of ids.
    pub lengths: Vec<usize>,
}

/// The loss of a batch, as a sum so that batches of different sizes add up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LossSum {
    /// Sum of the negative log likelihoods of the predicted tokens.
    pub nats: f64,
    /// Number of predicted tokens.
    pub tokens: usize,
}

impl LossSum {
    /// Mean over the predicted tokens; 0 when there were none.
    pub fn mean(&self) -> f64 {
        self.nats / self.tokens.max(1) as f64
    }
}

impl std::ops::AddAssign for LossSum {
    fn add_assign(&mut self, other: Self) {
        self.nats += other.nats;
        self.tokens += other.tokens;
    }
}

impl Batch {
    /// Checks lengths and tokens against a model.
    pub fn check(&self, model: &Model) -> Result<(), ModelError> {
        let architecture = &model.architecture;
        let lengths = self.lengths.iter().sum();
        if lengths != self.ids.len() || self.targets.len() != self.ids.len() || self.lengths.contains(&0) {
            return Err(ModelError::MalformedBatch {
                tokens: self.ids.len(),
                targets: self.targets.len(),
                lengths,
            });
        }
        if let Some(&length) = self.lengths.iter().find(|&&l| l > architecture.positions) {
            return Err(ModelError::SequenceTooLong { length, limit: architecture.positions });
        }
        let outside = |&&t: &&u32| t as usize >= architecture.vocab;
        let targets = self.targets.iter().filter(|&&t| t != IGNORE);
        match self.ids.iter().chain(targets).find(outside) {
            Some(&token) => Err(ModelError::TokenOutOfRange { token, vocab_size: architecture.vocab }),
            None => Ok(()),
        }
    }

    /// The sequences as (first row, length).
    pub(crate) fn sequences(&self) -> Vec<(usize, usize)> {
        let starts = self.lengths.iter().scan(0, |next, &length| {
            let start = *next;
            *next += length;
            Some((start, length))
        });
        starts.collect()
    }
}
