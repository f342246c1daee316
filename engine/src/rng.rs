//! Counter-based random numbers: a value depends only on its key and index, never on the order of calls.
//!
//! So dropout masks are the same for any number of threads and can be made again in the backward pass
//! instead of being stored. Not for secrets.

/// Mixes 64 bits (the finaliser of SplitMix64, Steele, Lea and Flood 2014).
pub const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A stream of random numbers, addressed by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: u64,
}

impl Stream {
    /// A stream of its own for each seed.
    pub const fn new(seed: u64) -> Self {
        Self { key: mix(seed) }
    }

    /// A stream derived from this one; different labels give independent streams.
    pub const fn child(self, label: u64) -> Self {
        Self { key: mix(self.key ^ mix(label).rotate_left(17)) }
    }

    /// 64 random bits at `index`.
    pub const fn bits(self, index: u64) -> u64 {
        mix(self.key.wrapping_add(index.wrapping_mul(0xD134_2543_DE82_EF95)))
    }

    /// Uniform in `[0, 1)` with 53 bits.
    pub fn uniform(self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Standard normal (Box and Muller, one value per index).
    pub fn normal(self, index: u64) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform(2 * index)).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform(2 * index + 1)).cos()
    }
}

/// A dropout mask, addressed by row and column. Kept values are scaled by `1 / (1 - p)`.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    stream: Stream,
    /// A value is dropped when 32 random bits are below this.
    threshold: u32,
    keep_scale: f32,
}

impl Dropout {
    /// `None` when nothing is to be dropped.
    pub fn new(p: f32, stream: Stream) -> Option<Self> {
        let threshold = (f64::from(p) * 4_294_967_296.0) as u32;
        (threshold > 0).then(|| Self { stream, threshold, keep_scale: 1.0 / (1.0 - p) })
    }

    /// The mask of one row.
    pub fn row(self, row: u64) -> DropoutRow {
        DropoutRow {
            noise: Noise::new(self.stream, row),
            threshold: self.threshold,
            keep_scale: self.keep_scale,
        }
    }
}

/// Random bits for a row of values; 32-bit arithmetic only, so that loops over columns vectorise.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    key: [u32; 2],
}

impl Noise {
    pub fn new(stream: Stream, row: u64) -> Self {
        let key = stream.bits(row);
        Self { key: [key as u32, (key >> 32) as u32] }
    }

    /// 32 random bits for one column.
    #[inline(always)]
    pub fn bits(self, column: u32) -> u32 {
        // "lowbias32" (Wellons 2018), keyed before and in the middle.
        let x = column.wrapping_mul(0x9E37_79B9) ^ self.key[0];
        let x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
        let x = (x ^ (x >> 15)).wrapping_add(self.key[1]).wrapping_mul(0x846C_A68B);
        x ^ (x >> 16)
    }
}

/// One row of a mask.
#[derive(Debug, Clone, Copy)]
pub struct DropoutRow {
    noise: Noise,
    threshold: u32,
    keep_scale: f32,
}

impl DropoutRow {
    /// The factor for one column: 0 or `1 / (1 - p)`.
    #[inline(always)]
    pub fn factor(self, column: u32) -> f32 {
        if self.noise.bits(column) < self.threshold { 0.0 } else { self.keep_scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let stream = Stream::new(7);
        let n = 100_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for i in 0..n {
            let x = stream.normal(i);
            sum += x;
            squares += x * x;
        }
        assert!((sum / n as f64).abs() < 0.02);
        assert!((squares / n as f64 - 1.0).abs() < 0.02);
    }

    #[test]
    fn dropout_drops_its_share_and_rows_differ() {
        let dropout = Dropout::new(0.1, Stream::new(1).child(2)).unwrap();
        let mut dropped = 0;
        for row in 0..100 {
            dropped += (0..1000).filter(|&c| dropout.row(row).factor(c) == 0.0).count();
        }
        assert!((9_500..10_500).contains(&dropped), "{dropped}");
        let mask = |row| (0..64).map(|c| dropout.row(row).factor(c) == 0.0).collect::<Vec<_>>();
        assert_ne!(mask(0), mask(1));
        assert_eq!(dropout.row(3).factor(3), dropout.row(3).factor(3));
        assert!(Dropout::new(0.0, Stream::new(1)).is_none());
    }
}
