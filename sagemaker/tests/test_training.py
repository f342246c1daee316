"""The script trains for real, and what it writes loads elsewhere."""

import json
import re
import shutil

import peft
import pytest
import torch
from conftest import QUICK, ROOT, ROWS, events
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from finetuning import training
from finetuning.settings import Settings


def loss_of(model, directory, seq2seq=False, rows=ROWS) -> float:
    """The loss on the answers of all rows, reckoned by `transformers` alone."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model.eval()
    losses = []
    for row in rows:
        answer = tokenizer(row["completion"] + tokenizer.eos_token, return_tensors="pt").input_ids
        end = tokenizer.eos_token if seq2seq else "\n###\n"
        prompt = tokenizer(row["prompt"] + end, return_tensors="pt").input_ids
        ids = prompt if seq2seq else torch.cat([prompt, answer], dim=1)
        labels = answer if seq2seq else torch.cat([torch.full_like(prompt, -100), answer], dim=1)
        with torch.no_grad():
            losses.append((model(input_ids=ids, labels=labels).loss.item() * answer.shape[1], answer.shape[1]))
    return sum(loss for loss, _ in losses) / sum(count for _, count in losses)


def test_all_weights_of_a_causal_model(job, gpt2, run):
    job.write("validation", ROWS)
    before = loss_of(AutoModelForCausalLM.from_pretrained(gpt2), gpt2)
    result = run(**QUICK, eval_steps="4")
    assert result.code == 0
    after = loss_of(AutoModelForCausalLM.from_pretrained(job.model), job.model)
    assert after < 0.7 * before
    # What the script reports of the same rows is what transformers reckons.
    assert result.metric("eval_loss")[-1] == (8, pytest.approx(after, rel=1e-4))
    assert [step for step, _ in result.metric("train_loss")] == list(range(1, 9))
    assert (job.model / "model.safetensors").is_file()
    record = json.loads((job.model / "llm_tuner.json").read_text())
    assert record["result"]["steps"] == 8
    assert record["template"]["prompt"] == "{content}\n###\n"
    assert record["data"][0]["rows"] == len(ROWS)


@pytest.mark.parametrize("model", ["gpt2", "t5"])
def test_the_loss_of_a_step_is_the_mean_over_all_its_learned_tokens(job, run, request, model):
    directory = request.getfixturevalue(model)
    load = AutoModelForCausalLM if model == "gpt2" else AutoModelForSeq2SeqLM
    # The whole data in one step of four passes, whose answers differ in length.
    rows = [{**row, "completion": row["completion"] * (1 + at // 4)} for at, row in enumerate(ROWS)]
    job.write("training", rows)
    result = run(**{**QUICK, "max_steps": "1", "batch_size": "4", "gradient_accumulation_steps": "4"})
    expected = loss_of(load.from_pretrained(directory), directory, seq2seq=model == "t5", rows=rows)
    assert result.metric("train_loss") == [(1, pytest.approx(expected, rel=1e-4))]


def test_only_matrices_decay(gpt2):
    model = AutoModelForCausalLM.from_pretrained(gpt2)
    decaying, others = training.optimizer(model, Settings(weight_decay=0.5)).param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.5, 0)
    assert {parameter.ndim for parameter in decaying["params"]} == {2}
    assert {parameter.ndim for parameter in others["params"]} == {1}


def test_an_adapter(job, gpt2, run):
    assert run(**{**QUICK, "lora": "true", "lora_r": "4"}).code == 0
    assert not (job.model / "model.safetensors").exists()
    base = AutoModelForCausalLM.from_pretrained(gpt2)
    before = loss_of(base, gpt2)
    adapted = peft.PeftModel.from_pretrained(base, job.model)
    assert adapted.peft_config["default"].lora_alpha == 8
    assert adapted.peft_config["default"].target_modules == {"c_attn"}
    assert loss_of(adapted, job.model) < before


def test_an_adapter_on_every_linear_layer(job, gpt2, run):
    assert run(**{**QUICK, "lora": "true", "lora_target_modules": "all-linear"}).code == 0
    adapted = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(gpt2), job.model)
    layers = {name.rpartition(".")[2] for name in adapted.peft_config["default"].target_modules}
    assert layers == {"c_attn", "c_proj", "c_fc"}


def test_an_adapter_merged_is_the_adapter_over_its_base(job, gpt2, run):
    assert run(**{**QUICK, "lora": "true", "merge_adapter": "true"}).code == 0
    merged = AutoModelForCausalLM.from_pretrained(job.model)
    adapted = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(gpt2), job.model / "adapter")
    ids = torch.arange(2, 20)[None]
    torch.testing.assert_close(merged(ids).logits, adapted(ids).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("lora", ["true", "false"])
def test_a_sequence_to_sequence_model(job, t5, run, lora):
    base = AutoModelForSeq2SeqLM.from_pretrained(t5)
    before = loss_of(base, t5, seq2seq=True)
    job.write("validation", ROWS)
    result = run(**{**QUICK, "lora": lora})
    assert result.code == 0
    if lora == "true":
        trained = peft.PeftModel.from_pretrained(base, job.model)
    else:
        trained = AutoModelForSeq2SeqLM.from_pretrained(job.model)
    after = loss_of(trained, job.model, seq2seq=True)
    assert after < before
    assert result.metric("eval_loss")[-1][1] == pytest.approx(after, rel=1e-4)
    [shown, *_] = result.events("batch")[0]["rows"]
    assert "".join(token["text"] for token in shown if token["learned"]).startswith(" is ")


def test_plain_text_and_conversations(job, gpt2, run):
    texts = [{"text": row["prompt"] + row["completion"]} for row in ROWS]
    job.write("training", texts)
    assert run(**QUICK).events("data")[0]["kind"] == "text"
    turns = [
        {
            "messages": [
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row["completion"]},
            ]
        }
        for row in ROWS
    ]
    job.write("training", turns)
    for checkpoint in job.checkpoints.iterdir():
        (checkpoint / "manifest.json").unlink()
    assert run(**QUICK).events("data")[0]["kind"] == "chat"
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "1 plus 1"}], tokenize=False, add_generation_prompt=True
    )
    assert asked == "User:\n1 plus 1\n\nAssistant:\n"


def test_a_llama_with_a_chat_template_of_its_own(job, llama, run):
    question, answer = {"role": "user", "content": "1 plus 1"}, {"role": "assistant", "content": " is 2"}
    job.write("training", [{"messages": [question, answer]}] * 4)
    result = run(**{**QUICK, "lora": "true"})
    assert result.code == 0
    [shown, *_] = result.events("batch")[0]["rows"]
    assert "".join(token["text"] for token in shown) == "<user>1 plus 1<|endoftext|><assistant> is 2<|endoftext|>"
    assert "".join(token["text"] for token in shown if token["learned"]) == " is 2<|endoftext|>"
    adapted = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(llama), job.model)
    assert adapted.peft_config["default"].target_modules == {"q_proj", "v_proj"}
    assert json.loads((job.model / "llm_tuner.json").read_text())["own_chat_template"] is True
    for checkpoint in job.checkpoints.iterdir():
        shutil.rmtree(checkpoint)
    job.write("training", [{"prompt": "1 plus 1", "completion": " is 2"}] * 4)
    asked = run(**{**QUICK, "lora": "true"}).events("batch")[0]["rows"][0]
    assert asked == shown, "a prompt and its completion are two turns"
    recorded = json.loads((job.model / "llm_tuner.json").read_text())
    assert recorded["own_chat_template"] is True and recorded["template"]["kind"] == "completion"
    job.write("training", [{"messages": [{"role": "system", "content": "Be brief."}, question, answer]}])
    assert run(**QUICK).code == 1
    assert job.failure.startswith(
        "training/data.jsonl, line 1: the base model's chat template refuses this conversation: No system turns."
    )


def test_early_stopping_keeps_the_best_model(job, gpt2, run):
    # What is held out contradicts what is trained, so that it gets worse soon.
    wrong = [{**row, "completion": " zzzz"} for row in ROWS]
    job.write("validation", wrong)
    result = run(**{**QUICK, "max_steps": "30", "eval_steps": "1", "early_stopping_patience": "3"})
    losses = result.metric("eval_loss")
    assert result.code == 0
    assert losses[-1][0] < 30
    best = min(losses, key=lambda at: at[1])
    assert best[0] == losses[-1][0] - 3
    kept = AutoModelForCausalLM.from_pretrained(job.model).state_dict()
    at_best = AutoModelForCausalLM.from_pretrained(job.checkpoints / f"checkpoint-{best[0]}").state_dict()
    assert all(torch.equal(kept[name], at_best[name]) for name in kept)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_other_optimizers(job, gpt2, run, optimizer):
    result = run(**{**QUICK, "optimizer": optimizer, "lr_scheduler": "linear", "weight_decay": "0"})
    losses = result.metric("train_loss")
    assert losses[-1][1] < losses[0][1]


@pytest.mark.parametrize("lora", ["true", "false"])
def test_gradient_checkpointing_changes_no_loss(job, gpt2, run, lora):
    few = {**QUICK, "lora": lora, "max_steps": "3", "dropout": "0", "lora_dropout": "0"}
    losses = [loss for _, loss in run(**few).metric("train_loss")]
    for checkpoint in job.checkpoints.iterdir():
        shutil.rmtree(checkpoint)
    again = [loss for _, loss in run(**few, gradient_checkpointing="true").metric("train_loss")]
    assert losses and again == pytest.approx(losses, rel=1e-4)


def test_sagemaker_reads_the_metrics_by_the_shipped_expressions(job, gpt2, run):
    definitions = json.loads((ROOT / "metric_definitions.json").read_text())
    assert len(definitions) <= 40
    job.write("validation", ROWS)
    result = run(**QUICK)
    for definition in definitions:
        found = [float(match[1]) for line in result.lines if (match := re.search(definition["Regex"], line))]
        if definition["Name"] == "step":
            expected = [line["step"] for line in result.events("progress")]
        else:
            expected = [value for _, value in result.metric(definition["Name"])]
        assert expected and found == expected, definition["Name"]
    measured = {line["metric"] for line in events(result.lines) if "metric" in line}
    assert measured | {"step"} == {definition["Name"] for definition in definitions}
