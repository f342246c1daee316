//! Cross-entropy of rows of logits, with the gradient written over the logits.

use super::math::{exp, max, sum};
use rayon::prelude::*;

vectorised! {
    /// Turns one row of logits into `softmax − one-hot(target)` and returns the loss in nats.
    fn gradient_row(logits: &mut [f32], target: usize) -> f64 {
        let top = max(logits);
        let chosen = logits[target];
        for x in logits.iter_mut() {
            *x = exp(*x - top);
        }
        let total = sum(logits);
        let scale = 1.0 / total;
        for x in logits.iter_mut() {
            *x *= scale;
        }
        logits[target] -= 1.0;
        f64::from(total).ln() + f64::from(top) - f64::from(chosen)
    }

    /// The loss of one row in nats; the row is used up.
    fn loss_row(logits: &mut [f32], target: usize) -> f64 {
        let top = max(logits);
        let chosen = logits[target];
        for x in logits.iter_mut() {
            *x = exp(*x - top);
        }
        f64::from(sum(logits)).ln() + f64::from(top) - f64::from(chosen)
    }
}

/// Sum of the losses of the rows, in nats. With `gradient`, the logits become their own gradient;
/// otherwise they are used up.
///
/// # Panics
/// If a target is outside the row.
pub fn cross_entropy(logits: &mut [f32], vocab: usize, targets: &[u32], gradient: bool) -> f64 {
    let losses: Vec<f64> = logits
        .par_chunks_mut(vocab)
        .with_min_len(super::rows_per_task(vocab))
        .zip(targets)
        .map(|(row, &target)| match gradient {
            true => gradient_row(row, target as usize),
            false => loss_row(row, target as usize),
        })
        .collect();
    losses.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_cost_the_logarithm_of_their_number() {
        let mut logits = vec![3.0; 2 * 5];
        assert!((cross_entropy(&mut logits.clone(), 5, &[1, 4], false) - 2.0 * 5f64.ln()).abs() < 1e-6);
        let loss = cross_entropy(&mut logits, 5, &[1, 4], true);
        assert!((loss - 2.0 * 5f64.ln()).abs() < 1e-6);
        assert!((logits[1] + 0.8).abs() < 1e-6 && (logits[0] - 0.2).abs() < 1e-6);
        assert!(logits.iter().sum::<f32>().abs() < 1e-6);
    }

    #[test]
    fn a_nan_is_not_swallowed() {
        let mut logits = vec![1.0, f32::NAN, 0.0];
        assert!(cross_entropy(&mut logits, 3, &[0], false).is_nan());
    }
}
