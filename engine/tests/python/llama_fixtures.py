"""Writes small random models of the Llama family with the logits, losses and gradients that PyTorch computes for them.

Usage: llama_fixtures.py DIRECTORY. The Rust side is tests/gradients.rs; cases are those of gpt2_fixtures.py.
"""

import sys
from pathlib import Path

from gpt2_fixtures import gradient_case, randomise, steps_case
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

KINDS = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
}
EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make_llama(seed, kind="llama", theta=10_000.0, scaling=None, **changes):
    """A model whose every weight, norms and biases included, is random: so that each gradient is telling."""
    sizes = dict(
        vocab_size=53,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=96,
        bos_token_id=0,
        eos_token_id=0,
    )
    make_config, make_model = KINDS[kind]
    rope = {"rope_type": "default", "rope_theta": theta, **(scaling or {})}
    config = make_config(**{**sizes, "rope_parameters": rope, **changes})
    return randomise(make_model(config), seed, "norm")


def main():
    out = Path(sys.argv[1])

    def case(name, seed, lengths, ignored=0.3, lora=None, **changes):
        model = make_llama(seed, **changes)
        gradient_case(out / "gradients" / name, seed, lengths, ignored, lora, model=model)

    llama3 = dict(
        rope_type="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=32,
    )
    yarn = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=24)
    case("untied", 41, [16, 16, 16])
    case("tied", 42, [12, 12], tie_word_embeddings=True)
    case("grouped_4_2", 43, [1, 7, 90, 2, 33], num_key_value_heads=2)
    case("grouped_6_1", 44, [40, 3, 65], ignored=0.0, num_attention_heads=6, num_key_value_heads=1)
    case("wide_heads", 45, [30, 30], ignored=0.9, num_key_value_heads=2, head_dim=10)
    case("narrow_heads", 46, [19, 70], num_key_value_heads=2, head_dim=2)
    case("odd_widths", 47, [11, 19], hidden_size=18, intermediate_size=37, num_attention_heads=3,
         num_key_value_heads=3, vocab_size=301)  # fmt: skip
    case("all_biases", 48, [11, 19, 1], attention_bias=True, mlp_bias=True, num_key_value_heads=2)
    case("qwen2", 49, [70, 5], kind="qwen2", num_key_value_heads=2, theta=1_000_000.0, tie_word_embeddings=True)
    case("qwen2_untied", 50, [33, 8], kind="qwen2", num_key_value_heads=1)
    case("mistral", 51, [64, 31], kind="mistral", num_key_value_heads=2, sliding_window=96)
    case("mistral_window", 52, [64, 31], kind="mistral", num_key_value_heads=2, sliding_window=64)
    case("rope_far", 64, [1200], ignored=0.9, num_key_value_heads=2, max_position_embeddings=2048)
    case("rope_linear", 53, [90, 4], scaling=dict(rope_type="linear", factor=4.0))
    case("rope_dynamic", 54, [90, 4], scaling=dict(rope_type="dynamic", factor=4.0))
    case("rope_llama3", 55, [90, 4], num_key_value_heads=2, scaling=llama3, theta=500_000.0)
    case("rope_yarn", 56, [90, 4], scaling=yarn)
    case("lora_q_v", 57, [16, 70], lora=["q_proj", "v_proj"], num_key_value_heads=2)
    case("lora_every_module", 58, [16, 70], lora=EVERY, num_key_value_heads=2)
    case("lora_feed_forward", 59, [16, 5], lora=["down_proj", "gate_proj"])
    case("lora_qwen2", 60, [16, 5, 40], lora=EVERY, kind="qwen2", num_key_value_heads=2, tie_word_embeddings=True)
    case("lora_wide_heads", 61, [16, 5], lora=["o_proj", "k_proj"], head_dim=10, num_key_value_heads=2)
    steps_case(out / "steps" / "adamw", 62, "adamw", model=make_llama(62, num_key_value_heads=2))
    qwen = make_llama(63, kind="qwen2", num_key_value_heads=2, tie_word_embeddings=True)
    steps_case(out / "steps" / "adamw_qwen2", 63, "adamw", model=qwen)


if __name__ == "__main__":
    main()
