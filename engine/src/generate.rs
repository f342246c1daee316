//! Choosing the next token from logits.
//!
//! Not for text: the caller decodes tokens, stops at its stop words and streams.

use crate::rng::Stream;
use serde::{Deserialize, Serialize};

/// Settings of sampling, named as in `transformers`' generation settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampler {
    /// 0 always takes the most likely token.
    pub temperature: f32,
    /// Keeps the smallest set of most likely tokens with at least this probability in all; 1 keeps all.
    pub top_p: f32,
    /// Keeps this many most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Divides (or multiplies, when negative) the logits of tokens that occurred (Keskar et al. 2019); 1 is
    /// none.
    pub repetition_penalty: f32,
    pub seed: u64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 1.0, top_k: 0, repetition_penalty: 1.0, seed: 0 }
    }
}

impl Sampler {
    /// The next token after `history` (prompt and generated tokens). The choice depends only on settings,
    /// logits and history. Changes the logits.
    pub fn choose(&self, logits: &mut [f32], history: &[u32]) -> u32 {
        if self.repetition_penalty != 1.0 {
            let mut seen = history.to_vec();
            seen.sort_unstable();
            seen.dedup();
            for token in seen {
                if let Some(logit) = logits.get_mut(token as usize) {
                    let penalty = self.repetition_penalty;
                    *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
                }
            }
        }
        if self.temperature <= 0.0 {
            return most_likely(logits);
        }
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        let descending =
            |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        if self.top_k > 0 && self.top_k < order.len() {
            order.select_nth_unstable_by(self.top_k - 1, descending);
            order.truncate(self.top_k);
        }
        order.sort_unstable_by(descending);
        let Some(&first) = order.first() else { return 0 };
        let top = f64::from(logits[first as usize]);
        let weight =
            |&token: &u32| ((f64::from(logits[token as usize]) - top) / f64::from(self.temperature)).exp();
        let mut weights: Vec<f64> = order.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        if self.top_p < 1.0 {
            let mut sum = 0.0;
            let beyond = |weight: &f64| {
                sum += weight;
                sum >= f64::from(self.top_p) * total
            };
            let kept = weights.iter().position(beyond).map_or(weights.len(), |last| last + 1);
            weights.truncate(kept);
        }
        let mut rest = Stream::new(self.seed).uniform(history.len() as u64) * weights.iter().sum::<f64>();
        for (token, weight) in order.iter().zip(&weights) {
            rest -= weight;
            if rest < 0.0 {
                return *token;
            }
        }
        order[weights.len() - 1]
    }
}

/// The first of the largest logits, as `argmax`.
fn most_likely(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = i;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 4] = [0.0, 2.0, 1.0, -1.0];

    fn share(sampler: &Sampler, token: u32) -> f64 {
        let draws =
            (0..4000).map(|seed| Sampler { seed, ..sampler.clone() }.choose(&mut LOGITS.clone(), &[]));
        draws.filter(|&t| t == token).count() as f64 / 4000.0
    }

    #[test]
    fn temperature_zero_takes_the_first_largest() {
        assert_eq!(Sampler::default().choose(&mut LOGITS.clone(), &[]), 1);
        assert_eq!(Sampler::default().choose(&mut [1.0, 1.0], &[]), 0);
    }

    #[test]
    fn shares_follow_the_softmax() {
        let sampler = Sampler { temperature: 1.0, ..Sampler::default() };
        let total: f64 = LOGITS.iter().map(|&l| f64::from(l).exp()).sum();
        for (token, &logit) in LOGITS.iter().enumerate() {
            let expected = f64::from(logit).exp() / total;
            assert!((share(&sampler, token as u32) - expected).abs() < 0.03);
        }
    }

    #[test]
    fn top_k_top_p_and_temperature_narrow_the_choice() {
        let sampler = Sampler { temperature: 1.0, ..Sampler::default() };
        // Probabilities: token 1 0.644, token 2 0.237, token 0 0.087, token 3 0.032.
        let top_k = Sampler { top_k: 2, ..sampler.clone() };
        assert!((share(&top_k, 1) - 0.731).abs() < 0.03 && share(&top_k, 0) == 0.0);
        let top_p = Sampler { top_p: 0.7, ..sampler.clone() };
        assert!((share(&top_p, 2) - 0.269).abs() < 0.03 && share(&top_p, 0) == 0.0);
        assert_eq!(share(&Sampler { top_p: 0.1, ..sampler.clone() }, 1), 1.0);
        assert!(share(&Sampler { temperature: 0.1, ..sampler }, 1) > 0.99);
    }

    #[test]
    fn the_penalty_weakens_what_occurred() {
        let sampler = Sampler { repetition_penalty: 3.0, ..Sampler::default() };
        let mut logits = LOGITS;
        assert_eq!(sampler.choose(&mut logits, &[1, 1, 3]), 2);
        assert_eq!(logits, [0.0, 2.0 / 3.0, 1.0, -3.0]);
    }
}
