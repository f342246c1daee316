//! From a configuration to the weights it asks for, under their names in the file, and which is which.
//!
//! The one place where the families' names, shapes and starting values stand.

use super::parameters::{Block, Layout, Linear, Norm, Orientation, ParameterId, Start, Wanted};
use crate::config::{Gpt2Config, LlamaConfig, ModelConfig};

/// Lists the weights of a configuration in the order of `transformers`' state dict, and maps them.
pub fn plan(config: &ModelConfig) -> (Layout, Vec<Wanted>) {
    match config {
        ModelConfig::Gpt2(config) => gpt2(config),
        ModelConfig::Llama(config) => llama(config),
    }
}

/// The engine's name of a tensor in a file: published files come with and without the model's prefix. `None` for what
/// is no weight: buffers that old files carry, and the second name of a tied head.
pub(crate) fn canonical_name(config: &ModelConfig, name: String) -> Option<String> {
    let (prefix, buffers): (_, &[&str]) = match config {
        ModelConfig::Gpt2(_) => ("transformer.", &[".attn.bias", ".attn.masked_bias"]),
        ModelConfig::Llama(_) => ("model.", &[".rotary_emb.inv_freq"]),
    };
    if buffers.iter().any(|buffer| name.ends_with(buffer)) {
        return None;
    }
    if name.starts_with("lm_head.") {
        return (!config.tied()).then_some(name);
    }
    Some(if name.starts_with(prefix) { name } else { format!("{prefix}{name}") })
}

#[derive(Default)]
struct Planner(Vec<Wanted>);

impl Planner {
    fn add(&mut self, name: String, shape: Vec<usize>, start: Start) -> ParameterId {
        self.0.push(Wanted { name, shape, start });
        ParameterId(self.0.len() - 1)
    }
}

/// Starting values: Radford et al. 2019, as `transformers` does: normal with `initializer_range`, the two projections
/// into the residual stream divided by `√(2 · layers)`.
fn gpt2(config: &Gpt2Config) -> (Layout, Vec<Wanted>) {
    let (d, f, v) = (config.n_embd, config.inner(), config.vocab_size);
    let normal = Start::Normal(config.initializer_range);
    let residual = Start::Normal(config.initializer_range / (2.0 * config.n_layer as f32).sqrt());
    let mut planner = Planner::default();
    let norm = |planner: &mut Planner, path: String| Norm {
        weight: planner.add(format!("{path}.weight"), vec![d], Start::Constant(1.0)),
        bias: Some(planner.add(format!("{path}.bias"), vec![d], Start::Constant(0.0))),
    };
    let token_embedding = planner.add("transformer.wte.weight".into(), vec![v, d], normal);
    let positions = planner.add("transformer.wpe.weight".into(), vec![config.n_positions, d], normal);
    let block = |i| {
        let norm_1 = norm(&mut planner, format!("transformer.h.{i}.ln_1"));
        let norm_2 = norm(&mut planner, format!("transformer.h.{i}.ln_2"));
        let mut linear = |module, inputs, outputs, start| {
            let path = format!("transformer.h.{i}.{module}");
            Linear {
                module,
                weight: planner.add(format!("{path}.weight"), vec![inputs, outputs], start),
                bias: Some(planner.add(format!("{path}.bias"), vec![outputs], Start::Constant(0.0))),
                inputs,
                outputs,
                orientation: Orientation::InOut,
                column: 0,
                adapter: None,
            }
        };
        Block {
            norm_1,
            attention_in: vec![linear("attn.c_attn", d, 3 * d, normal)],
            attention_out: linear("attn.c_proj", d, d, residual),
            norm_2,
            mlp_in: vec![linear("mlp.c_fc", d, f, normal)],
            mlp_out: linear("mlp.c_proj", f, d, residual),
        }
    };
    let blocks = (0..config.n_layer).map(block).collect();
    let last_norm = norm(&mut planner, "transformer.ln_f".into());
    let head = match config.tie_word_embeddings {
        true => token_embedding,
        false => planner.add("lm_head.weight".into(), vec![v, d], normal),
    };
    let position_embedding = Some(positions);
    let blocks_path = "transformer.h";
    (Layout { token_embedding, position_embedding, blocks_path, blocks, last_norm, head }, planner.0)
}

/// Starting values as `transformers` does: normal with `initializer_range`.
fn llama(config: &LlamaConfig) -> (Layout, Vec<Wanted>) {
    let (d, f, v) = (config.hidden_size, config.intermediate_size, config.vocab_size);
    let q = config.num_attention_heads * config.head_width();
    let kv = config.kv_heads() * config.head_width();
    let normal = Start::Normal(config.initializer_range);
    let mut planner = Planner::default();
    let norm = |planner: &mut Planner, path: String| Norm {
        weight: planner.add(format!("{path}.weight"), vec![d], Start::Constant(1.0)),
        bias: None,
    };
    let token_embedding = planner.add("model.embed_tokens.weight".into(), vec![v, d], normal);
    let block = |i| {
        let mut linear = |module, inputs, outputs, column, bias: bool| {
            let path = format!("model.layers.{i}.{module}");
            let weight = planner.add(format!("{path}.weight"), vec![outputs, inputs], normal);
            let bias = bias.then(|| planner.add(format!("{path}.bias"), vec![outputs], Start::Constant(0.0)));
            let orientation = Orientation::OutIn;
            Linear { module, weight, bias, inputs, outputs, orientation, column, adapter: None }
        };
        let (in_bias, inner_bias) = (config.qkv_bias(), config.inner_bias());
        let attention_in = vec![
            linear("self_attn.q_proj", d, q, 0, in_bias),
            linear("self_attn.k_proj", d, kv, q, in_bias),
            linear("self_attn.v_proj", d, kv, q + kv, in_bias),
        ];
        let attention_out = linear("self_attn.o_proj", q, d, 0, config.output_bias());
        let mlp_in =
            vec![linear("mlp.gate_proj", d, f, 0, inner_bias), linear("mlp.up_proj", d, f, f, inner_bias)];
        let mlp_out = linear("mlp.down_proj", f, d, 0, inner_bias);
        let norm_1 = norm(&mut planner, format!("model.layers.{i}.input_layernorm"));
        let norm_2 = norm(&mut planner, format!("model.layers.{i}.post_attention_layernorm"));
        Block { norm_1, attention_in, attention_out, norm_2, mlp_in, mlp_out }
    };
    let blocks = (0..config.num_hidden_layers).map(block).collect();
    let last_norm = norm(&mut planner, "model.norm".into());
    let head = match config.tie_word_embeddings {
        true => token_embedding,
        false => planner.add("lm_head.weight".into(), vec![v, d], normal),
    };
    let blocks_path = "model.layers";
    (Layout { token_embedding, position_embedding: None, blocks_path, blocks, last_norm, head }, planner.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_count_what_the_plan_lists() {
        let llama = |model_type: &str, attention_bias, mlp_bias, tied| LlamaConfig {
            model_type: model_type.into(),
            vocab_size: 31,
            hidden_size: 12,
            intermediate_size: 20,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: Some(2),
            head_dim: Some(8),
            attention_bias,
            mlp_bias,
            tie_word_embeddings: tied,
            ..LlamaConfig::default()
        };
        for config in [
            Gpt2Config::nano(31).into(),
            ModelConfig::Gpt2(Gpt2Config { tie_word_embeddings: false, ..Gpt2Config::nano(31) }),
            llama("llama", false, false, false).into(),
            llama("llama", true, true, true).into(),
            llama("mistral", true, true, true).into(),
            llama("qwen2", false, false, false).into(),
        ] {
            let (layout, wanted) = plan(&config);
            let count: usize = wanted.iter().map(|w| w.shape.iter().product::<usize>()).sum();
            assert_eq!(count, config.parameter_count(), "{config:?}");
            let architecture = config.architecture().unwrap();
            for block in &layout.blocks {
                let outputs = |linears: &[Linear]| linears.iter().map(|l| l.outputs).sum::<usize>();
                assert_eq!(outputs(&block.attention_in), architecture.qkv_width());
                assert_eq!(outputs(&block.mlp_in), architecture.mlp_width());
            }
        }
    }
}
