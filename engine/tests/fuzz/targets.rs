//! One target for each file that the engine reads: where it lies among good ones, and what is done with it.

use crate::checks::*;
use crate::good::Good;
use crate::seeds::{CONFIGS, ROWS, TEMPLATES, TOKENIZER_CONFIGS, TOKENIZERS};

pub struct Target {
    pub name: &'static str,
    /// The spoiled file, in [`Good`].
    file: &'static str,
    /// Further good contents.
    more: &'static [&'static str],
    check: fn(&Good),
}

impl Target {
    /// Good contents to spoil.
    pub fn seeds(&self, good: &Good) -> Vec<Vec<u8>> {
        let own = std::fs::read(good.path(self.file)).unwrap_or_default();
        std::iter::once(own).chain(self.more.iter().map(|text| text.as_bytes().to_vec())).collect()
    }

    /// Panics where the property does not hold.
    pub fn hold(&self, good: &Good, bytes: &[u8]) {
        good.write(self.file, bytes);
        (self.check)(good);
    }
}

pub fn named(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap()
}

const fn target(
    name: &'static str,
    file: &'static str,
    more: &'static [&'static str],
    check: fn(&Good),
) -> Target {
    Target { name, file, more, check }
}

pub const TARGETS: &[Target] = &[
    target("config", "gpt2/config.json", CONFIGS, config),
    target("weights", "gpt2/model.safetensors", &[], weights),
    target("shard_index", "sharded/model.safetensors.index.json", &[], shard_index),
    target("tokenizer", "gpt2/tokenizer.json", TOKENIZERS, tokenizer),
    target("vocab", "parts/vocab.json", &[], vocab),
    target("merges", "parts/merges.txt", &[], merges),
    target("tokenizer_config", "gpt2/tokenizer_config.json", TOKENIZER_CONFIGS, tokenizer_config),
    target("special_tokens_map", "gpt2/special_tokens_map.json", &[], special_tokens_map),
    target("generation_config", "gpt2/generation_config.json", &[], generation_config),
    target("chat_template", "gpt2/chat_template.jinja", TEMPLATES, chat_template),
    target("adapter_config", "adapter/adapter_config.json", &[], adapter_config),
    target("adapter_weights", "adapter/adapter_model.safetensors", &[], adapter_weights),
    target("record", "tuned/llm_tuner.json", &[], tuned),
    target("hyperparameters", "job/input/config/hyperparameters.json", &[], hyperparameters),
    target("input_data_config", "job/input/config/inputdataconfig.json", &[], input_data_config),
    target("resource_config", "job/input/config/resourceconfig.json", &[], resource_config),
    target("stop", "job/input/config/stop", &["discard"], stop),
    target("rows", "rows/training/rows.jsonl", ROWS, training_rows),
    target("checkpoint_manifest", "checkpoints/step-00000001/manifest.json", &[], resume),
    target("checkpoint_weights", "checkpoints/step-00000001/weights.safetensors", &[], checkpoint_weights),
    target("checkpoint_state", "checkpoints/step-00000001/trainer.safetensors", &[], checkpoint_state),
    target(
        "checkpoint_tokenizer",
        "checkpoints/step-00000001/tokenizer.json",
        TOKENIZERS,
        checkpoint_tokenizer,
    ),
];
