"""A model's directory (config.json, model.safetensors in bf16) to a GGUF file: to_gguf.py MODEL_DIR FILE.

llama.cpp's own converter wants a tokenizer and is in no package; this one knows GPT-2, Llama and Qwen2 and
writes a file without a vocabulary. Matrices stay bf16, vectors become f32, as llama.cpp expects.
"""

import json
import struct
import sys
from pathlib import Path

import gguf
import numpy as np

ARCHITECTURES = {
    "gpt2": (gguf.MODEL_ARCH.GPT2, "gpt2"),
    "llama": (gguf.MODEL_ARCH.LLAMA, "llama"),
    "qwen2": (gguf.MODEL_ARCH.QWEN2, "qwen2"),
}
# GPT-2 keeps these as [inputs, outputs].
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def tensors(path):
    """Names and bf16 bits of a safetensors file: numpy has no bf16, so the format is read by hand."""
    data = np.memmap(path, np.uint8, "r")
    (size,) = struct.unpack("<Q", data[:8].tobytes())
    for name, entry in json.loads(data[8 : 8 + size].tobytes()).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "BF16":
            sys.exit(f"{path}: {name} is {entry['dtype']}, not BF16")
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        yield name, data[begin:end].view(np.uint16).reshape(entry["shape"])


def rotated_by_pairs(weight, heads):
    """llama.cpp's Llama turns neighbours where transformers turns halves, so rows change places."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(weight.shape)


def describe(writer, config):
    pick = lambda *names: next((config[name] for name in names if name in config), None)
    heads = pick("num_attention_heads", "n_head")
    width = pick("hidden_size", "n_embd")
    writer.add_context_length(pick("max_position_embeddings", "n_positions"))
    writer.add_embedding_length(width)
    writer.add_block_count(pick("num_hidden_layers", "n_layer"))
    writer.add_feed_forward_length(pick("intermediate_size", "n_inner") or 4 * width)
    writer.add_head_count(heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    if config["model_type"] == "gpt2":
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    parameters = config.get("rope_parameters") or {}
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config.get("rope_theta") or parameters["rope_theta"])
    writer.add_rope_dimension_count(width // heads)


def main(model_dir, path):
    config = json.loads((Path(model_dir) / "config.json").read_text())
    architecture, name = ARCHITECTURES[config["model_type"]]
    names = gguf.get_tensor_name_map(architecture, config.get("num_hidden_layers") or config.get("n_layer"))
    writer = gguf.GGUFWriter(path, name)
    describe(writer, config)
    for source, bits in tensors(Path(model_dir) / "model.safetensors"):
        target = names.get_name(source, try_suffixes=(".weight", ".bias"))
        if target is None:
            sys.exit(f"GGUF has no name for {source}")
        if source.endswith(TRANSPOSED) and name == "gpt2":
            bits = np.ascontiguousarray(bits.T)
        if name == "llama" and ("q_proj" in source or "k_proj" in source):
            key = "num_attention_heads" if "q_proj" in source else "num_key_value_heads"
            bits = np.ascontiguousarray(rotated_by_pairs(bits, config[key]))
        if bits.ndim == 1:
            writer.add_tensor(target, (bits.astype(np.uint32) << 16).view(np.float32))
        else:
            writer.add_tensor(target, bits.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
