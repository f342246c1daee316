"""Stands for the script in a JumpStart container: reads the folder as theirs does, and really trains, a tiny Llama."""

import argparse
import json
import os
import pathlib
import sys

parser = argparse.ArgumentParser()
for name in ("epoch", "learning_rate", "instruction_tuned", "chat_dataset", "int8_quantization", "enable_fsdp"):
    parser.add_argument(f"--{name}", required=True)
arguments, others = parser.parse_known_args()
if os.environ.get("accept_eula") != "true" or "SageMakerGatedModelS3Uri" not in os.environ:
    sys.exit("ValueError: the licence was not accepted")

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

folder = pathlib.Path(os.environ["SM_CHANNEL_TRAINING"])
template = json.loads((folder / "template.json").read_text())
rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
texts = [template["prompt"].format(**row) + template["completion"].format(**row) for row in rows]
bpe = ByteLevelBPETokenizer()
bpe.train_from_iterator(texts, vocab_size=300, special_tokens=["<s>"], show_progress=False)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, bos_token="<s>", eos_token="<s>", pad_token="<s>")
torch.manual_seed(1)
config = LlamaConfig(
    vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, bos_token_id=0, eos_token_id=0
)
model = LlamaForCausalLM(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
batch = tokenizer(texts, return_tensors="pt", padding=True)
for epoch in range(int(arguments.epoch)):
    loss = model(input_ids=batch.input_ids, labels=batch.input_ids).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    print(f"Epoch {epoch + 1}: train_perplexity={loss.exp():.4f}, train_epoch_loss={loss:.4f}, eval_epoch_loss=tensor({loss:.4f})", flush=True)
target = os.environ["SM_MODEL_DIR"]
model.save_pretrained(target)
tokenizer.save_pretrained(target)
