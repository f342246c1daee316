//! How much memory training will take, before it starts.

use crate::config::Gpt2Config;
use crate::lora::{LoraConfig, matches};
use crate::model::head_rows;

/// Weights of an adapter on this model: what LoRA trains.
pub fn adapter_weights(config: &Gpt2Config, lora: &LoraConfig) -> usize {
    let (d, f) = (config.n_embd, config.inner());
    let modules =
        [("attn.c_attn", d, 3 * d), ("attn.c_proj", d, d), ("mlp.c_fc", d, f), ("mlp.c_proj", f, d)];
    (0..config.n_layer)
        .flat_map(|i| {
            modules.map(|(name, inputs, outputs)| (format!("transformer.h.{i}.{name}"), inputs + outputs))
        })
        .filter(|(path, _)| lora.target_modules.iter().any(|target| matches(path, target)))
        .map(|(_, sizes)| sizes * lora.r)
        .sum()
}

/// Bytes that training holds at its peak, with Adam's two moments, in f32:
///
/// - weights: 4 bytes each; trained weights 12 more (gradient and moments)
/// - per token of the largest batch and per layer: `7 · width + inner` values (input, queries, keys, values,
///   attention, middle, inner) and the adapters' `4 · rank`
/// - per token once: `4 · width` values (last layer, scratch, gradient, dropout), `max(inner, 3 · width)`, and
///   as much as `max(inner, width)` for an adapter's dropout
/// - the head's piece: up to 256 rows of logits and five of `width`
/// - attention: three blocks of 64 × `max_len` for each of up to 16 threads
/// - 24 MiB for the process and packing buffers
///
/// `batch_tokens` is the number of tokens of one micro-batch. An estimate: the tests hold it within a quarter
/// of what the buffers add up to.
pub fn training_memory_bytes(
    config: &Gpt2Config,
    lora: Option<&LoraConfig>,
    batch_tokens: usize,
    max_len: usize,
) -> u64 {
    let (d, f, v) = (config.n_embd, config.inner(), config.vocab_size);
    let base = config.parameter_count();
    let (weights, trained, rank) = match lora {
        None => (base, base, 0),
        Some(lora) => {
            let adapter = adapter_weights(config, lora);
            (base + adapter, adapter, lora.r)
        }
    };
    let adapter_dropout = if lora.is_some_and(|lora| lora.dropout > 0.0) { f.max(d) } else { 0 };
    let per_layer = 7 * d + f + 4 * rank;
    let once = 4 * d + f.max(3 * d) + adapter_dropout;
    let head = batch_tokens.min(head_rows(v)) * (v + 5 * d);
    let attention = 16 * 3 * 64 * max_len;
    let values =
        weights + 3 * trained + batch_tokens * (config.n_layer * per_layer + once) + head + attention;
    4 * values as u64 + (24 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Batch, Model};
    use crate::optimizer::OptimizerConfig;
    use crate::trainer::Trainer;

    #[test]
    fn the_estimate_covers_the_buffers_and_not_much_more() {
        let config = Gpt2Config { n_positions: 256, ..Gpt2Config::nano(2000) };
        let lora =
            LoraConfig { target_modules: vec!["c_attn".into(), "c_proj".into()], ..LoraConfig::default() };
        for lora in [None, Some(&lora)] {
            let mut model = Model::init(config.clone(), 1).unwrap();
            if let Some(lora) = lora {
                model.attach_lora(lora, 1).unwrap();
            }
            let mut trainer = Trainer::new(model, OptimizerConfig::default());
            let tokens = 8 * 256;
            let batch = Batch { ids: vec![1; tokens], targets: vec![2; tokens], lengths: vec![256; 8] };
            trainer.accumulate(&batch).unwrap();
            let held = trainer.held_bytes() as f64;
            // What is not buffers of the trainer: packing, attention scratch, the process.
            let fixed = ((24 << 20) + 4 * 16 * 3 * 64 * 256) as f64;
            let estimate = training_memory_bytes(&config, lora, tokens, 256) as f64 - fixed;
            assert!(estimate >= held && estimate < 1.25 * held, "{estimate} {held}");
        }
    }
}
