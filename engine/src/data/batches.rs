//! Which sequences make which batch: decided by the seed and the batch's number alone.
//!
//! Training can therefore continue at any batch without having gone through those before it.

use super::tokens::TokenSet;
use crate::model::Batch;
use crate::rng::Stream;

/// Keeps shuffles apart from everything else that is drawn from the same seed.
const SHUFFLE: u64 = 0x5348_5546;

/// An endless sequence of batches: epoch after epoch, each in a new order.
#[derive(Debug)]
pub struct Batches<'a> {
    set: &'a TokenSet,
    batch_size: usize,
    seed: u64,
    epoch: Option<u64>,
    order: Vec<u32>,
}

impl<'a> Batches<'a> {
    /// # Panics
    /// Never; an empty set gives empty batches.
    pub fn new(set: &'a TokenSet, batch_size: usize, seed: u64) -> Self {
        Self { set, batch_size, seed, epoch: None, order: Vec::new() }
    }

    /// The batch of a number, counted from 0 over all epochs. A batch may span the end of an epoch, so that
    /// all have the same size.
    pub fn batch(&mut self, number: u64) -> Batch {
        let n = self.set.sequences() as u64;
        if n == 0 {
            return Batch::default();
        }
        let first = number * self.batch_size as u64;
        let mut indices = Vec::with_capacity(self.batch_size);
        for position in first..first + self.batch_size as u64 {
            self.turn_to(position / n);
            indices.push(self.order[(position % n) as usize] as usize);
        }
        self.set.batch(indices)
    }

    fn turn_to(&mut self, epoch: u64) {
        if self.epoch == Some(epoch) {
            return;
        }
        self.order = shuffled(self.set.sequences(), Stream::new(self.seed).child(SHUFFLE).child(epoch));
        self.epoch = Some(epoch);
    }
}

/// Fisher and Yates. The bias of `%` is below 2^-32 for any set that fits into memory.
fn shuffled(n: usize, random: Stream) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    for i in (1..n).rev() {
        order.swap(i, (random.bits(i as u64) % (i as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_everything_once_and_changes_with_seed_and_epoch() {
        let random = Stream::new(1);
        let order = shuffled(100, random.child(0));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_ne!(order, sorted);
        assert_ne!(order, shuffled(100, random.child(1)));
        assert_ne!(order, shuffled(100, Stream::new(2).child(0)));
        assert_eq!(order, shuffled(100, random.child(0)));
    }
}
