//! Lengths, counted in buckets that grow with the length: narrow where rows are short, wide where they are
//! long, and never more than a few hundred however many rows there are.

use serde::{Deserialize, Serialize};

/// Four buckets to each doubling, so that a bucket is at most a quarter as wide as its length.
const PER_DOUBLING: u64 = 4;

/// Rows of `from..=to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub from: u64,
    pub to: u64,
    pub count: u64,
}

/// Buckets in order of length; those between the shortest and the longest are all there, empty ones too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram {
    pub buckets: Vec<Bucket>,
}

impl Histogram {
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum()
    }

    /// The share (0 to 1) of rows longer than `limit`. Within the bucket that holds the limit, rows are taken to
    /// be spread evenly.
    pub fn share_above(&self, limit: u64) -> f64 {
        let total = self.total();
        if total == 0 {
            return 0.0;
        }
        let above: f64 = self
            .buckets
            .iter()
            .map(|bucket| {
                let width = (bucket.to - bucket.from + 1) as f64;
                let longer = bucket.to.saturating_sub(limit.max(bucket.from.saturating_sub(1)));
                bucket.count as f64 * (longer as f64 / width).min(1.0)
            })
            .sum();
        above / total as f64
    }
}

/// Counts while the file streams past.
#[derive(Debug, Default)]
pub(crate) struct HistogramBuilder {
    counts: Vec<u64>,
}

impl HistogramBuilder {
    pub fn add(&mut self, length: u64) {
        let index = index_of(length);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
    }

    pub fn finish(self) -> Histogram {
        let first = self.counts.iter().position(|count| *count > 0).unwrap_or(self.counts.len());
        let buckets = self
            .counts
            .into_iter()
            .enumerate()
            .skip(first)
            .map(|(index, count)| Bucket { from: start_of(index), to: start_of(index + 1) - 1, count })
            .collect();
        Histogram { buckets }
    }
}

fn index_of(length: u64) -> usize {
    if length < PER_DOUBLING {
        return length as usize;
    }
    let doubling = u64::from(length.ilog2());
    let quarter = (length >> (doubling - 2)) - PER_DOUBLING;
    (PER_DOUBLING * (doubling - 1) + quarter) as usize
}

fn start_of(index: usize) -> u64 {
    let index = index as u64;
    if index < PER_DOUBLING {
        return index;
    }
    let doubling = index / PER_DOUBLING + 1;
    (PER_DOUBLING + index % PER_DOUBLING) << (doubling - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_falls_into_the_bucket_that_names_it() {
        for length in (0..5000).chain([1 << 20, (1 << 20) + 1, u64::from(u32::MAX)]) {
            let index = index_of(length);
            assert!(start_of(index) <= length && length < start_of(index + 1), "{length} in {index}");
        }
    }

    #[test]
    fn share_above_a_limit() {
        let mut builder = HistogramBuilder::default();
        for length in [1, 1, 2, 3] {
            builder.add(length);
        }
        let histogram = builder.finish();
        assert_eq!(histogram.share_above(0), 1.0);
        assert_eq!(histogram.share_above(1), 0.5);
        assert_eq!(histogram.share_above(3), 0.0);
        assert_eq!(Histogram::default().share_above(10), 0.0);
    }
}
