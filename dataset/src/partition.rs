//! Which rows train and which are held out to check: an exact share, chosen at random, the same for the same
//! seed, in constant memory.

use serde::{Deserialize, Serialize};

use crate::rng::SplitMix64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Training,
    Validation,
}

/// Says for row 0, 1, 2 … which side it is on. Selection sampling (Knuth, The Art of Computer Programming, vol. 2,
/// 3.4.2, algorithm S): each set of the right size is equally likely.
#[derive(Debug, Clone)]
pub struct Partition {
    rng: SplitMix64,
    rows: u64,
    validation: u64,
}

impl Partition {
    /// For `rows` rows of which `share` (0 to 1) are held out: rounded, at least one where the share is not 0, and
    /// never all.
    pub fn new(seed: u64, share: f64, rows: u64) -> Self {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        let wanted = (rows as f64 * share).round() as u64;
        let validation = if share > 0.0 { wanted.max(1).min(rows.saturating_sub(1)) } else { 0 };
        Self { rng: SplitMix64::new(seed), rows, validation }
    }

    /// Rows held out of those that are still to come.
    pub fn validation(&self) -> u64 {
        self.validation
    }
}

impl Iterator for Partition {
    type Item = Side;

    fn next(&mut self) -> Option<Side> {
        let rows = self.rows;
        self.rows = rows.checked_sub(1)?;
        if self.rng.below(rows) < self.validation {
            self.validation -= 1;
            Some(Side::Validation)
        } else {
            Some(Side::Training)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_out(seed: u64, share: f64, rows: u64) -> Vec<usize> {
        let sides = Partition::new(seed, share, rows);
        sides.enumerate().filter(|(_, side)| *side == Side::Validation).map(|(row, _)| row).collect()
    }

    #[test]
    fn the_share_is_exact_and_the_seed_decides() {
        assert_eq!(held_out(1, 0.1, 1000).len(), 100);
        assert_eq!(held_out(1, 0.1, 1000), held_out(1, 0.1, 1000));
        assert_ne!(held_out(1, 0.1, 1000), held_out(2, 0.1, 1000));
        assert_eq!(Partition::new(1, 0.1, 1000).count(), 1000);
    }

    #[test]
    fn both_sides_get_a_row_where_there_are_two() {
        assert_eq!(held_out(3, 0.01, 2).len(), 1);
        assert_eq!(held_out(3, 0.99, 2).len(), 1);
        assert_eq!(held_out(3, 1.0, 1).len(), 0);
        assert_eq!(held_out(3, 0.0, 10).len(), 0);
        assert_eq!(held_out(3, f64::NAN, 10).len(), 0);
    }
}
