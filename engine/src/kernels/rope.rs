//! Rotation of queries and keys by their position (Su et al. 2021), in place.
//!
//! The first half of a head's values is paired with the second, as `transformers` does.

use super::rows_per_task;
use rayon::prelude::*;

/// Cosines and sines of the positions from 0 on, or from a later one.
#[derive(Debug, Clone, Default)]
pub struct Angles {
    /// `[positions, pairs]`
    cosines: Vec<f32>,
    sines: Vec<f32>,
    pairs: usize,
}

impl Angles {
    /// The angles of `count` positions from `first` on.
    pub fn new(frequencies: &[f32], factor: f32, first: usize, count: usize) -> Self {
        Self::at(frequencies, factor, first..first + count)
    }

    /// The angles of some positions: `frequencies` per position, sines and cosines times `factor`. Computed in f64 from
    /// an angle in f32, as `transformers` rounds it.
    pub fn at(frequencies: &[f32], factor: f32, positions: impl Iterator<Item = usize>) -> Self {
        let angles = positions.flat_map(|position| {
            frequencies.iter().map(move |frequency| f64::from(position as f32 * frequency))
        });
        let (cosines, sines) =
            angles.map(|angle| (angle.cos() as f32 * factor, angle.sin() as f32 * factor)).unzip();
        Self { cosines, sines, pairs: frequencies.len() }
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.cosines.len() / self.pairs.max(1)
    }

    fn row(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.pairs..(position + 1) * self.pairs;
        (&self.cosines[range.clone()], &self.sines[range])
    }
}

/// Which way to turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Forward,
    /// The transposed rotation, for gradients.
    Back,
}

vectorised! {
    fn rotate_head(first: &mut [f32], second: &mut [f32], cosines: &[f32], sines: &[f32], sign: f32) {
        for (((a, b), c), s) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            let (x, y, s) = (*a, *b, sign * s);
            *a = x * c - y * s;
            *b = y * c + x * s;
        }
    }
}

/// Rotates the first `heads` heads of each row of `x [rows, width]`; `positions` says which angle a row has.
pub fn rotate(x: &mut [f32], width: usize, heads: usize, positions: &[usize], angles: &Angles, turn: Turn) {
    let sign = if turn == Turn::Forward { 1.0 } else { -1.0 };
    let pairs = angles.pairs;
    let rows = rows_per_task(width);
    x.par_chunks_mut(rows * width).zip(positions.par_chunks(rows)).for_each(|(x, positions)| {
        for (row, &position) in x.chunks_mut(width).zip(positions) {
            let (cosines, sines) = angles.row(position);
            for head in row.chunks_mut(2 * pairs).take(heads) {
                let (first, second) = head.split_at_mut(pairs);
                rotate_head(first, second, cosines, sines, sign);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREQUENCIES: [f32; 3] = [1.0, 0.3, 0.01];

    fn row(width: usize) -> Vec<f32> {
        (0..2 * width).map(|i| (i as f32 * 0.7).sin()).collect()
    }

    #[test]
    fn pairs_turn_by_position_times_frequency_and_the_rest_stays() {
        // Two heads of six, and two values behind them.
        let (before, mut x) = (row(14), row(14));
        rotate(&mut x, 14, 2, &[5, 0], &Angles::new(&FREQUENCIES, 1.0, 0, 6), Turn::Forward);
        for head in 0..2 {
            for (pair, frequency) in FREQUENCIES.into_iter().enumerate() {
                let (a, b) = (before[head * 6 + pair], before[head * 6 + 3 + pair]);
                let (sin, cos) = (5.0 * frequency).sin_cos();
                assert!((x[head * 6 + pair] - (a * cos - b * sin)).abs() < 1e-6);
                assert!((x[head * 6 + 3 + pair] - (b * cos + a * sin)).abs() < 1e-6);
            }
        }
        assert_eq!(x[12..], before[12..], "values are not turned, nor is position 0");
    }

    #[test]
    fn turning_back_is_the_transpose_and_later_angles_are_the_same() {
        let angles = Angles::new(&FREQUENCIES, 1.5, 0, 9);
        let (dy, x) = (row(6), row(6).into_iter().rev().collect::<Vec<_>>());
        let turned = |x: &[f32], turn| {
            let mut x = x.to_vec();
            rotate(&mut x, 6, 1, &[8, 3], &angles, turn);
            x
        };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let (along, back) = (dot(&turned(&x, Turn::Forward), &dy), dot(&x, &turned(&dy, Turn::Back)));
        assert!((along - back).abs() < 1e-5, "{along} {back}");
        let late = Angles::new(&FREQUENCIES, 1.5, 7, 2);
        assert_eq!((late.positions(), late.row(1)), (2, angles.row(8)));
    }
}
