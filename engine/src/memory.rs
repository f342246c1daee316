//! How much memory training will take, before it starts.

use crate::config::ModelConfig;
use crate::kernels::attention;
use crate::kernels::tier::{Precision, Tier};
use crate::lora::LoraConfig;
use crate::model::{HEAD_ROWS, largest_group, plan, rounded_ids};

pub use crate::lora::adapter_weights;

/// What a run goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingLoad {
    /// Tokens of one micro-batch.
    pub batch_tokens: usize,
    /// Tokens of the longest sequence.
    pub max_len: usize,
    /// Tokens of all rows, which are held while it runs.
    pub data_tokens: u64,
    /// Whether blocks are computed again in the backward pass.
    pub recompute: bool,
}

/// Gives what is freed back to the system at once, in this process from now on: glibc keeps ever larger blocks after
/// the first large one was freed, and loading a model would leave holes that training never fills. So the peak is what
/// [`training_memory_bytes`] says. For a process that does nothing but train; elsewhere it would only cost time.
pub fn give_back_what_is_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets a number in the allocator, which any thread may do; 0, a refusal, leaves it as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES);
    }
}

/// From this size on a block has pages of its own, which go when it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_PAGES: libc::c_int = 1 << 20;

/// Bytes that training holds at its peak, with Adam's two moments, in f32 but for what is named:
///
/// - weights: 4 bytes each, or 2 where they are frozen and a tier of bf16 reads them; trained weights 12 more
///   (gradient and two moments), or 6 for the matrices that a tier of bf16 reads
/// - per token of the largest batch and per layer: the layer's input and middle (`2 · width`), queries, keys and
///   values, the heads' outputs and what the activation reads, 2 bytes each on a tier of bf16; each adapter's `rank`.
///   With recomputation only `width` values in f32, and all of it for one layer
/// - per token once: `5 · width` values (the residual stream before, in and after a block, its gradient, dropout), one
///   buffer for each of what a block computes, the gradients of a group of adapters, and as much as their widest input
///   for an adapter's dropout
/// - the head's piece: `HEAD_ROWS` rows of logits and five of `width`
/// - the rows' tokens, 5 bytes each
/// - attention, for each of up to 16 threads: a block of queries against `max_len` keys, twice, and keys, values and their
///   gradients of one head; the angles of rotated positions
/// - 24 MiB for the process and packing buffers
///
/// An estimate: the tests hold it within a quarter of what the buffers add up to, and within 5 % of the peak of a job's
/// process (`tests/memory.rs`). A configuration that makes no model takes nothing.
pub fn training_memory_bytes(
    tier: Tier,
    config: &ModelConfig,
    lora: Option<&LoraConfig>,
    load: TrainingLoad,
) -> u64 {
    let TrainingLoad { batch_tokens, max_len, data_tokens, recompute } = load;
    let Ok(a) = config.architecture() else { return 0 };
    let (d, f, v) = (a.width, a.inner, a.vocab);
    let (layout, wanted) = plan(config);
    let weights: usize = wanted.iter().map(|weight| weight.shape.iter().product::<usize>()).sum();
    let rounded: usize = match tier.precision() {
        Precision::F32 => 0,
        Precision::Bf16 => rounded_ids(&layout).map(|id| wanted[id.0].shape.iter().product::<usize>()).sum(),
    };
    let (weight_bytes, trained_bytes, rank) = match lora {
        None => (4 * weights, 12 * weights - 6 * rounded, 0),
        Some(lora) => {
            let adapter = adapter_weights(config, lora);
            (4 * (weights + adapter) - 2 * rounded, 12 * adapter, lora.r)
        }
    };
    let widest_input = f.max(d).max(a.attention_width());
    let adapter_dropout = if lora.is_some_and(|lora| lora.dropout > 0.0) { widest_input } else { 0 };
    let linears = layout.blocks.first().map_or(0, |block| block.linears().count());
    let kept = 2 * d + a.qkv_width() + a.attention_width() + a.mlp_width();
    let kept_bytes = match tier.precision() {
        Precision::F32 => 4 * kept,
        Precision::Bf16 => 2 * kept,
    };
    let whole_block = kept_bytes + 4 * linears * rank;
    let kept_bytes = if recompute { a.layers * 4 * d + whole_block } else { a.layers * whole_block };
    let once = 5 * d
        + d.max(a.attention_width())
        + a.attention_width()
        + a.mlp_width().max(a.qkv_width())
        + f.max(a.qkv_width())
        + largest_group(&layout.blocks) * rank
        + adapter_dropout;
    let head = batch_tokens.min(HEAD_ROWS) * (v + 5 * d);
    let attention = attention_values(a.head_width, max_len);
    let angles = a.rotary.map_or(0, |rotary| 2 * rotary.frequencies.len() * max_len);
    let values = batch_tokens * once + head + attention + angles;
    (weight_bytes + trained_bytes + batch_tokens * kept_bytes + 4 * values) as u64
        + 5 * data_tokens
        + (24 << 20)
}

/// Values that attention's tasks hold together.
fn attention_values(head_width: usize, max_len: usize) -> usize {
    16 * (2 * attention::BLOCK + 5 * head_width) * max_len
}

/// Bytes that folding an adapter into its base holds at its peak: all weights in f32, after training's own memory was
/// given back.
pub fn merging_memory_bytes(config: &ModelConfig, lora: &LoraConfig) -> u64 {
    4 * (config.parameter_count() + adapter_weights(config, lora)) as u64 + (24 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Gpt2Config, LlamaConfig};
    use crate::lora::ALL_LINEAR;
    use crate::model::{Batch, Model};
    use crate::optimizer::OptimizerConfig;
    use crate::trainer::Trainer;

    #[test]
    fn the_estimate_covers_the_buffers_and_not_much_more() {
        let gpt2 = Gpt2Config { n_positions: 256, ..Gpt2Config::nano(2000) };
        // Shared keys and heads wider than the residual stream.
        let llama = LlamaConfig {
            vocab_size: 2000,
            hidden_size: 192,
            intermediate_size: 512,
            num_hidden_layers: 4,
            num_attention_heads: 6,
            num_key_value_heads: Some(2),
            head_dim: Some(48),
            max_position_embeddings: 256,
            ..LlamaConfig::default()
        };
        let lora = |modules: &[&str]| LoraConfig {
            target_modules: modules.iter().map(|&module| module.into()).collect(),
            dropout: 0.1,
            ..LoraConfig::default()
        };
        let configs: [ModelConfig; 2] = [gpt2.into(), llama.into()];
        for (config, modules) in configs.iter().zip([["c_attn", "c_proj"], ["q_proj", "down_proj"]]) {
            let loras = [None, Some(lora(&modules)), Some(lora(&[ALL_LINEAR]))];
            let ways = [(Tier::best(), false), (Tier::best_f32(), false), (Tier::best(), true)];
            for (lora, (tier, recompute)) in
                loras.into_iter().flat_map(|lora| ways.map(|way| (lora.clone(), way)))
            {
                let mut model = Model::init(config.clone(), 1).unwrap().on(tier);
                if let Some(lora) = &lora {
                    model.attach_lora(lora, 1).unwrap();
                }
                let trained = model.trainable_parameter_count();
                assert_eq!(trained, lora.as_ref().map_or(trained, |lora| adapter_weights(config, lora)));
                let mut trainer =
                    Trainer::new(model, OptimizerConfig::default()).with_recomputation(recompute);
                let tokens = 8 * 256;
                let batch = Batch { ids: vec![1; tokens], targets: vec![2; tokens], lengths: vec![256; 8] };
                trainer.accumulate(&batch).unwrap();
                let held = trainer.held_bytes() as f64;
                // What is not buffers of the trainer: packing, attention scratch, the process.
                let attention = attention_values(config.architecture().unwrap().head_width, 256);
                let fixed = ((24 << 20) + 4 * attention) as f64;
                let load = TrainingLoad { batch_tokens: tokens, max_len: 256, data_tokens: 0, recompute };
                let estimate = training_memory_bytes(tier, config, lora.as_ref(), load) as f64 - fixed;
                assert!(estimate >= held && estimate < 1.25 * held, "{estimate} {held} {lora:?}");
            }
        }
    }
}
