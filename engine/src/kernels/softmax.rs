//! Softmax over the visible part of a row of attention scores.

use super::math::{exp, max, sum};
use crate::rng::DropoutRow;

vectorised! {
    /// Replaces the first `visible` scores by their softmax and the rest by zero.
    pub fn softmax_row(row: &mut [f32], visible: usize) {
        let (row, hidden) = row.split_at_mut(visible);
        let top = max(row);
        for x in row.iter_mut() {
            *x = exp(*x - top);
        }
        let scale = 1.0 / sum(row);
        for x in row.iter_mut() {
            *x *= scale;
        }
        hidden.fill(0.0);
    }

    /// Multiplies a row by a dropout mask.
    pub fn mask_row(row: &mut [f32], mask: DropoutRow) {
        for (column, x) in row.iter_mut().enumerate() {
            *x *= mask.factor(column as u32);
        }
    }

    /// Writes a row times a dropout mask.
    pub fn masked_copy_row(out: &mut [f32], row: &[f32], mask: DropoutRow) {
        for (column, (o, x)) in out.iter_mut().zip(row).enumerate() {
            *o = x * mask.factor(column as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_scores_do_not_overflow_and_hidden_ones_are_zero() {
        let mut row = [1000.0, 1000.0 + std::f32::consts::LN_2, 5000.0];
        softmax_row(&mut row, 2);
        assert!((row[0] - 1.0 / 3.0).abs() < 1e-4 && (row[1] - 2.0 / 3.0).abs() < 1e-4, "{row:?}");
        assert_eq!(row[2], 0.0);
    }
}
