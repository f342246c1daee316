"""PyTorch, transformers and peft at the engine's work: one run, one line of JSON.

pytorch.py PEER full|lora|generate MODEL_DIR SEQUENCES TOKENS STEPS [LORA_MODULES]
pytorch.py weights MODEL_DIR

For `generate`, SEQUENCES is the length of the prompt and TOKENS the number of new ones; `weights` writes
the random bf16 weights that it and llama.cpp read.
"""

import os
import sys
import tempfile

import measured

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))


def main(arguments):
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if arguments[0] == "weights":
        new_model(arguments[1], torch.bfloat16).save_pretrained(arguments[1])
        return
    peer, mode, model_dir = arguments[:3]
    sequences, tokens, steps = map(int, arguments[3:6])
    if mode == "generate":
        return generate(model_dir, sequences, tokens, steps)
    traits = peer.split("-")
    model = new_model(model_dir, torch.bfloat16 if "pure" in traits else torch.float32)
    model.config.use_cache = False
    if mode == "lora":
        model = with_adapter(model, arguments[6].split(","))
    if "checkpointing" in traits:
        if mode == "lora":
            model.enable_input_require_grads()
        model.gradient_checkpointing_enable()
    if "compile" in traits:
        model = torch.compile(model)
    # Pure bf16 has no f32 to cast from.
    autocast = "bf16" in traits and "pure" not in traits
    if traits[0] == "trainer":
        trainer(model, autocast, sequences, tokens, steps)
    else:
        loop(model, autocast, sequences, tokens, steps)


def new_model(model_dir, dtype):
    from transformers import AutoConfig, AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model_dir), dtype=dtype)


def with_adapter(model, modules):
    import peft

    config = peft.LoraConfig(
        r=8,
        lora_alpha=16,
        lora_dropout=0.0,
        target_modules=modules,
        task_type="CAUSAL_LM",
        fan_in_fan_out=model.config.model_type == "gpt2",
    )
    return peft.get_peft_model(model, config)


def random_tokens(model, seed, shape):
    import torch

    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, model.config.vocab_size, shape, generator=generator)


def versions():
    import peft
    import torch
    import transformers

    return {module.__name__: module.__version__ for module in (torch, transformers, peft)}


def loop(model, autocast, sequences, tokens, steps):
    """The shortest training loop that a person would write, with the same maths as the engine's."""
    import torch

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=True)
    model.train()
    batches = [random_tokens(model, seed, (sequences, tokens)) for seed in range(measured.WARM_UP + steps)]

    def step(number):
        ids = batches[number]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    seconds, loss = measured.timed(step, steps)
    measured.report(seconds, sequences * tokens, loss=loss, versions=versions())


def trainer(model, autocast, sequences, tokens, steps):
    """`transformers.Trainer`, whose defaults are AdamW, clipping at 1.0 and no decay."""
    import time

    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    count = measured.WARM_UP + steps

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return count * sequences

        def __getitem__(self, index):
            ids = random_tokens(model, index, (tokens,))
            return {"input_ids": ids, "labels": ids}

    class Clock(TrainerCallback):
        ends = []

        def on_step_end(self, *_arguments, **_more):
            self.ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=sequences,
            max_steps=count,
            learning_rate=1e-4,
            bf16=autocast,
            use_cpu=True,
            dataloader_pin_memory=False,
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        # Its closing line goes where the other words go.
        out, sys.stdout = sys.stdout, sys.stderr
        result = Trainer(model=model, args=arguments, train_dataset=Rows(), callbacks=[Clock()]).train()
        sys.stdout = out
    ends = Clock.ends[measured.WARM_UP - 1 :]
    seconds = [after - before for before, after in zip(ends, ends[1:])]
    measured.report(seconds, sequences * tokens, loss=result.training_loss, versions=versions())


def generate(model_dir, prompt, tokens, steps):
    """Greedy answers of exactly `tokens` tokens, in bf16."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16).eval()
    # Random weights may say the end token at once.
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0

    def step(number):
        ids = random_tokens(model, number, (1, prompt))
        with torch.inference_mode():
            answer = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False
            )
        return answer.shape[1] - prompt

    seconds, made = measured.timed(step, steps)
    if made != tokens:
        sys.exit(f"asked for {tokens} new tokens, got {made}")
    measured.report(seconds, tokens, versions=versions())


if __name__ == "__main__":
    main(sys.argv[1:])
