"""Writes small random GPT-2 models with the logits, losses and gradients that PyTorch computes for them.

Usage: gpt2_fixtures.py DIRECTORY. The Rust side is tests/gradients.rs; a case is a directory
with config.json, case.json (batch, adapter, expected loss) and safetensors files.
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, get_scheduler

IGNORE = 2**32 - 1
torch.set_num_threads(1)


def make_model(seed, **changes):
    """A model whose every weight, norms and biases included, is random: so that each gradient is telling."""
    sizes = dict(vocab_size=53, n_positions=96, n_embd=24, n_layer=2, n_head=3, bos_token_id=0, eos_token_id=0)
    config = GPT2Config(**{**sizes, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, **changes})
    return randomise(GPT2LMHeadModel(config), seed, "ln_")


def randomise(model, seed, norm):
    """Gives every weight a random value; those of norms, whose names hold `norm`, around 1."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            shift = 1.0 if norm in name and name.endswith("weight") else 0.0
            parameter.copy_(shift + 0.15 * torch.randn_like(parameter))
    return model.eval()


def make_batch(seed, lengths, vocab, ignored):
    """Random tokens; the last token of a sequence has no target, nor has a share of the others."""
    generator = torch.Generator().manual_seed(seed)
    ids, targets = [], []
    for length in lengths:
        row = torch.randint(0, vocab, (length,), generator=generator).tolist()
        drop = (torch.rand(length, generator=generator) < ignored).tolist()
        ids += row
        targets += [IGNORE if last or drop[i] else row[i + 1] for i in range(length) for last in [i + 1 == length]]
    return {"ids": ids, "targets": targets, "lengths": list(lengths)}


def loss_sum(model, batch):
    """Sum of the losses over the targets, and all logits; each sequence on its own."""
    start, total, logits = 0, 0.0, []
    for length in batch["lengths"]:
        ids = torch.tensor([batch["ids"][start : start + length]])
        targets = torch.tensor([-100 if t == IGNORE else t for t in batch["targets"][start : start + length]])
        out = model(input_ids=ids).logits[0]
        total = total + torch.nn.functional.cross_entropy(out, targets, ignore_index=-100, reduction="sum")
        logits.append(out.detach())
        start += length
    return total, torch.cat(logits)


def plain(name):
    return name.replace(".default.", ".")


def save(tensors, path):
    save_file({name: t.detach().clone().contiguous() for name, t in tensors.items()}, path, {"format": "pt"})


def fixed(name):
    """Whether a weight is spared by decay: those of norms, and biases."""
    return name.endswith("bias") or "ln_" in name or "norm" in name


def is_conv1d(model):
    return model.config.model_type == "gpt2"


def gradient_case(directory, seed, lengths, ignored=0.3, lora=None, model=None, **changes):
    directory.mkdir(parents=True)
    model = model or make_model(seed, **changes)
    model.config.save_pretrained(directory)
    save(dict(model.named_parameters()), directory / "model.safetensors")
    batch = make_batch(seed, lengths, model.config.vocab_size, ignored)
    adapter = None
    if lora:
        adapter = {"r": 4, "alpha": 10.0, "dropout": 0.0, "target_modules": lora}
        model = get_peft_model(
            model,
            LoraConfig(
                r=4,
                lora_alpha=10,
                lora_dropout=0.0,
                target_modules=lora,
                fan_in_fan_out=is_conv1d(model),
                task_type="CAUSAL_LM",
            ),
        ).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.copy_(0.2 * torch.randn_like(parameter))
        trained = {plain(n): p for n, p in model.named_parameters() if p.requires_grad}
        save(trained, directory / "adapter.safetensors")
    for suffix, half in [("", False), (".bf16", True)]:
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss, logits = loss_sum(model, batch)
        loss.backward()
        gradients = {plain(n): p.grad for n, p in model.named_parameters() if p.requires_grad}
        save(gradients, directory / f"gradients{suffix}.safetensors")
        save({"logits": logits.float()}, directory / f"logits{suffix}.safetensors")
        total = total if half else loss.item()
    case = {"batch": batch, "lora": adapter, "loss": total}
    (directory / "case.json").write_text(json.dumps(case))


def steps_case(directory, seed, optimizer, steps=8, accumulation=2, model=None):
    """A short training run: optimizer, clipping, accumulation by tokens, warm-up and cosine."""
    directory.mkdir(parents=True)
    model = model or make_model(seed)
    model.config.save_pretrained(directory)
    save(dict(model.named_parameters()), directory / "model.safetensors")
    decay = [p for n, p in model.named_parameters() if not fixed(n)]
    rest = [p for n, p in model.named_parameters() if fixed(n)]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    rate = {"adamw": 3e-3, "adam": 3e-3, "sgd": 0.5}[optimizer]
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    optimizer_ = kinds[optimizer](groups, lr=rate)
    scheduler = get_scheduler("cosine", optimizer_, 2, steps)
    batches, losses, norms = [], [], []
    for step in range(steps):
        micro = [make_batch(100 * step + i, [9 + i, 17, 5], model.config.vocab_size, 0.2) for i in range(accumulation)]
        tokens = sum(t != IGNORE for b in micro for t in b["targets"])
        total = 0.0
        for batch in micro:
            loss, _ = loss_sum(model, batch)
            (loss / tokens).backward()
            total += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer_.step()
        scheduler.step()
        optimizer_.zero_grad()
        batches.append(micro)
        losses.append(total / tokens)
    case = {"optimizer": optimizer, "learning_rate": rate, "weight_decay": 0.1, "warmup_steps": 2, "batches": batches}
    (directory / "case.json").write_text(json.dumps({**case, "losses": losses, "norms": norms}))
    save(dict(model.named_parameters()), directory / "final.safetensors")


def main():
    out = Path(sys.argv[1])
    every = ["c_attn", "c_fc", "c_proj"]
    gradient_case(out / "gradients/tied", 1, [16, 16, 16])
    gradient_case(out / "gradients/untied", 2, [12, 12], tie_word_embeddings=False)
    gradient_case(out / "gradients/odd_lengths", 3, [1, 7, 90, 2, 33])
    gradient_case(out / "gradients/packed_all_targets", 4, [40, 3, 65], ignored=0.0)
    gradient_case(out / "gradients/mostly_ignored", 5, [30, 30], ignored=0.9)
    gradient_case(out / "gradients/odd_widths", 6, [11, 19], n_embd=21, n_inner=37, n_head=3, vocab_size=301)
    gradient_case(out / "gradients/erf_gelu", 7, [11, 19], activation_function="gelu")
    gradient_case(out / "gradients/unscaled_attention", 8, [11, 19], scale_attn_weights=False)
    gradient_case(out / "gradients/lora_c_attn", 9, [16, 70], lora=["c_attn"])
    gradient_case(out / "gradients/lora_every_module", 10, [16, 70], lora=every)
    gradient_case(out / "gradients/lora_feed_forward", 11, [16, 5], lora=["mlp.c_proj"])
    gradient_case(out / "gradients/lora_untied", 12, [16, 5], lora=["attn.c_proj", "c_fc"], tie_word_embeddings=False)
    for optimizer in ["adamw", "adam", "sgd"]:
        steps_case(out / "steps" / optimizer, 20, optimizer)


if __name__ == "__main__":
    main()
