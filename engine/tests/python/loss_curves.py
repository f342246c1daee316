"""Trains a small GPT-2 and a small Llama for 200 steps with PyTorch, twice each, and writes down where they began, the
batches in order, and the loss of every step: first all weights, then a LoRA adapter (peft).

Usage: loss_curves.py DIRECTORY. The Rust side is tests/loss_curve.rs.
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import get_scheduler

from gpt2_fixtures import IGNORE, fixed, is_conv1d, loss_sum, make_model, plain, save
from llama_fixtures import EVERY, make_llama

STEPS, WARMUP, DECAY, ROWS = 200, 6, 0.01, 160
ADAPTER = {"r": 8, "alpha": 16.0, "dropout": 0.0, "target_modules": ["c_attn", "c_fc", "c_proj"]}


def make_rows(vocab, seed):
    """Rows that can be learned, if not at once: counting by a step of its own, with a slip now and then; upwards or, for
    an even seed, downwards. So many that they are not learned by heart: the loss of a model that knows its rows is near
    nothing, and any rounding is a large part of it."""
    generator = torch.Generator().manual_seed(seed)
    way = 1 if seed % 2 else -1
    draw = lambda low, high: int(torch.randint(low, high, (1,), generator=generator))
    rows = []
    for _ in range(ROWS):
        start, step, length = draw(0, vocab), way * draw(1, 6), draw(6, 24)
        rows.append([(start + i * step) % vocab if draw(0, 12) else draw(0, vocab) for i in range(length)])
    return rows


def batches(rows, size):
    """Epoch after epoch, each in a new order; the first token of a row is given, not learned."""
    generator = torch.Generator().manual_seed(2)
    order = []
    while True:
        batch = {"ids": [], "targets": [], "lengths": []}
        for _ in range(size):
            order = order or torch.randperm(len(rows), generator=generator).tolist()
            row = rows[order.pop()]
            batch["ids"] += row
            batch["targets"] += [IGNORE, *row[2:], IGNORE]
            batch["lengths"].append(len(row))
        yield batch


def curve(model, trained, seed, learning_rate, half):
    """The batches and losses of all steps, in f32 or in bf16 as PyTorch mixes it."""
    groups = [
        {"params": [p for n, p in trained.items() if not fixed(n)], "weight_decay": DECAY},
        {"params": [p for n, p in trained.items() if fixed(n)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate)
    scheduler = get_scheduler("cosine", optimizer, WARMUP, STEPS)
    order = batches(make_rows(model.config.vocab_size, seed), 6)
    used, losses = [], []
    for _ in range(STEPS):
        batch = next(order)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss, _ = loss_sum(model, batch)
        loss = loss / sum(target != IGNORE for target in batch["targets"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        used.append(batch)
        losses.append(loss.item())
    return used, losses


def train(directory, model, seed, learning_rate, adapter=None):
    directory.mkdir(parents=True)
    model.config.save_pretrained(directory)
    save(dict(model.named_parameters()), directory / "model.safetensors")
    if adapter:
        torch.manual_seed(seed)
        names = {"r": adapter["r"], "lora_alpha": adapter["alpha"], "lora_dropout": adapter["dropout"]}
        names["target_modules"] = adapter["target_modules"]
        model = get_peft_model(
            model, LoraConfig(**names, fan_in_fan_out=is_conv1d(model), task_type="CAUSAL_LM")
        )
    model.train()
    trained = {plain(n): p for n, p in model.named_parameters() if p.requires_grad}
    if adapter:
        save(trained, directory / "adapter.safetensors")
    begin = {name: p.detach().clone() for name, p in trained.items()}
    # Last in f32: the adapter goes on from there.
    used, rounded = curve(model, trained, seed, learning_rate, half=True)
    with torch.no_grad():
        for name, p in trained.items():
            p.copy_(begin[name])
    used, losses = curve(model, trained, seed, learning_rate, half=False)
    case = {"learning_rate": learning_rate, "weight_decay": DECAY, "warmup_steps": WARMUP, "lora": adapter}
    (directory / "case.json").write_text(json.dumps({**case, "batches": used, "losses": losses, "bf16": rounded}))
    print(directory.name, losses[0], losses[-1])


out = Path(sys.argv[1])
llama = make_llama(31, num_key_value_heads=2, tie_word_embeddings=True)
modules = {"gpt2": ADAPTER["target_modules"], "llama": EVERY}
for name, model in {"gpt2": make_model(30), "llama": llama}.items():
    train(out / name / "full", model, 1, 6e-3)
    # The adapter learns other rows, over what was learned before.
    train(out / name / "lora", model, 2, 5e-3, {**ADAPTER, "target_modules": modules[name]})
