"""What is wrong is said at once, with its place, and with what to do about it."""

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import QUICK, ROOT, ROWS

from finetuning import rows, settings, template, tokens
from finetuning.errors import JobError
from finetuning.settings import Settings

ENGINE = ROOT.parent / "engine/src"


def test_all_wrong_settings_are_named_at_once(job, run):
    result = run(batch_size="0", learning_rate="fast", epochs="1", max_steps="5", eval_step="3", lora="perhaps")
    assert result.code == 1
    assert job.failure == (
        'hyperparameters: learning_rate: must be a number above 0 and below 1, not "fast"; '
        "max_steps: give either epochs or max_steps, not both; "
        "batch_size: must be a whole number from 1 to 4096, not 0; "
        'lora: must be true or false, not "perhaps"; '
        "eval_step: is no setting of this script; check the spelling.\n"
        "Correct these settings and start the job again."
    )


def test_a_long_failure_keeps_its_next_step(job, run):
    run(**{f"unknown_setting_{i}": "1" for i in range(200)})
    assert len(job.failure) <= 1024
    assert job.failure.endswith("\nCorrect these settings and start the job again.")


def test_settings_as_sagemaker_sends_them():
    given = ["--lora_r", '"4"', "--seed=7", "--eval_steps", "", "--sagemaker_program", "finetune.py"]
    assert settings.from_arguments(given) == Settings(lora_r=4, lora_alpha=8.0, seed=7)
    with pytest.raises(JobError, match='"7" is not part of one'):
        settings.from_arguments(["7"])


def test_what_the_script_needs_is_what_it_is_tested_with():
    needed = (ROOT / "requirements.txt").read_text().splitlines()
    tested = (ROOT.parent / "tests/python-requirements.txt").read_text().splitlines()
    assert {line for line in needed if not line.startswith("#")} <= set(tested)


def test_names_bounds_and_defaults_are_the_engines():
    source = (ENGINE / "hyperparameters.rs").read_text()
    names = re.search(r"pub const NAMES: .*?= \[(.*?)\];", source, re.DOTALL)[1]
    assert tuple(re.findall(r'"(\w+)"', names)) == settings.NAMES
    parse = (ENGINE / "hyperparameters/parse.rs").read_text()
    for name, rule in settings.RULES.items():
        assert f'"{name}"' in parse and f'"{rule.words}"' in parse, name
    nano = re.search(r"let nano = Self \{(.*?)\n        \};", source, re.DOTALL)[1]
    pretrained = re.search(r"let pretrained = Self \{(.*?)\.\.nano", source, re.DOTALL)[1]
    lora = re.search(r"Preset::Lora => Self \{(.*?)\.\.pretrained", source, re.DOTALL)[1]
    defaults = {}
    for text in (nano, pretrained, lora):
        defaults |= {k: float(v) for k, v in re.findall(r"^\s*(\w+): (?:Some\()?([0-9.e-]+)\)?,", text, re.MULTILINE)}
    assert len(defaults) == 9
    assert {name: getattr(Settings(), name) for name in defaults} == defaults
    r, alpha, dropout = re.search(r"Lora \{ r: (\d+), alpha: ([\d.]+), dropout: ([\d.]+)", lora).groups()
    assert (Settings().lora_r, Settings().lora_alpha, Settings().lora_dropout) == (
        int(r),
        float(alpha),
        float(dropout),
    )
    full = settings.parse({"lora": "false"})
    assert f"Preset::Full => Self {{ learning_rate: {full.learning_rate:.0e}".replace("e-0", "e-") in source
    assert full.dropout is None and "dropout: None," in pretrained


def test_steps_are_reckoned_as_the_engine_does():
    assert Settings().total_steps(16) == 6
    assert Settings(epochs=0.01).total_steps(16) == 1
    assert Settings(epochs=1.5).total_steps(17) == 4


def test_missing_data(job, gpt2, run):
    (job.root / "input/data/training/data.jsonl").unlink()
    assert run(**QUICK).code == 1
    assert job.failure == (
        "the channel training: there is no *.jsonl file in it.\nGive the job at least one file of rows, named *.jsonl."
    )


def test_a_broken_row_is_named_with_its_line(job, gpt2, run):
    path = job.write("training", ROWS[:2])
    path.write_text(path.read_text() + '\n{"prompt": "1", "completion": }\n')
    assert run(**QUICK).code == 1
    assert job.failure.startswith("training/data.jsonl, line 4: not valid JSON: ")
    job.write("training", ROWS)
    job.write("validation", [{"text": "another kind"}])
    assert run(**QUICK).code == 1
    assert "validation/data.jsonl, line 1: a row of text, where the rows before are of completion" in job.failure


# The engine's own cases, so that both refuse the same lines.
@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{oops", "not valid JSON"),
        ("[1]", "JSON object"),
        ('{"text":1}', '"text" must be text'),
        ('{"text":" "}', '"text" is empty'),
        ('{"prompt":"p"}', '"completion" is missing'),
        ('{"completion":"p"}', '"prompt" is missing'),
        ('{"prompt":"p","completion":""}', "nothing to learn"),
        ('{"question":"p"}', "none of"),
        ('{"messages":{}}', "must be a list"),
        ('{"messages":[{"role":"robot","content":""}]}', "message 1"),
        ('{"messages":[{"role":"user","content":"hi"}]}', "assistant"),
        ('{"messages":[{"role":"assistant","content":"a","weight":0}]}', "other than 0"),
        ('{"messages":[{"role":"assistant","content":"a","weight":2}]}', 'message 1: "weight" must be'),
        ('{"text":"a","prompt":"b"}', "exclude each other"),
    ],
)
def test_each_wrong_line_has_its_own_sentence(line, part):
    with pytest.raises(ValueError, match=re.escape(part)):
        rows.parse(line)


def test_no_model(job, run):
    assert run(**QUICK).code == 1
    assert job.failure.startswith('hyperparameters: model_id: is needed where there is no channel "model"')
    job.base.mkdir()
    assert run(**QUICK).code == 1
    assert job.failure.startswith("the channel model: there is no config.json in it.")


def test_a_broken_model(job, gpt2, run):
    (gpt2 / "model.safetensors").write_bytes(b"no weights")
    assert run(**QUICK).code == 1
    assert job.failure.startswith("the base model cannot be loaded: ")


def test_layers_that_the_model_has_not(job, gpt2, run):
    assert run(**{**QUICK, "lora": "true", "lora_target_modules": "c_attn,q_proj"}).code == 1
    assert 'lora_target_modules: "q_proj" is no layer of this model; known are c_attn, c_fc, c_proj' in job.failure


def test_a_sequence_to_sequence_model_learns_no_plain_text(job, t5, run):
    job.write("training", [{"text": "once"}])
    assert run(**QUICK).code == 1
    assert job.failure.startswith("training/data.jsonl, line 1: a sequence-to-sequence model learns from")


def test_several_machines(job, run):
    (job.root / "input/config").mkdir()
    (job.root / "input/config/resourceconfig.json").write_text('{"hosts": ["algo-1", "algo-2"]}')
    assert run(**QUICK).code == 1
    assert job.failure == "2 hosts, and a job runs on one.\nSet the instance count to 1."


def test_patience_needs_validation_data(job, gpt2, run):
    assert run(**QUICK, early_stopping_patience="2").code == 1
    assert "early_stopping_patience: needs validation data" in job.failure


def test_a_rate_that_is_too_high_ends_the_job_in_words(job, gpt2, run, monkeypatch):
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", lambda logits, *_, **__: logits.sum() * float("nan"))
    assert run(**QUICK).code == 1
    assert job.failure.startswith("the loss is not a number any more, at step 1.\nStart again with a third")


def test_what_nobody_foresaw_is_told_too(job, gpt2, run, monkeypatch):
    monkeypatch.setattr(tokens, "read", lambda *_: 1 / 0)
    assert run(**QUICK).code == 1
    assert "ZeroDivisionError: division by zero" in job.failure


def test_a_failure_is_gone_with_the_next_run(job, gpt2, run):
    assert run(**QUICK, nonsense="1").code == 1
    assert run(**QUICK).code == 0
    assert not (job.root / "output/failure").exists()


class Spelling:
    """A tokenizer with a token for each letter; 0 ends a text."""

    eos_token_id, bos_token_id, eos_token = 0, None, "~"

    def __init__(self, chat_template=None, end="~"):
        self.chat_template, self.end = chat_template, end
        self.added_tokens_decoder = {0: "~"}

    def __call__(self, text, **_):
        return {"input_ids": [ord(letter) for letter in text]}

    def apply_chat_template(self, turns, add_generation_prompt, **_):
        text = "".join(f"<{turn['role']}>{turn['content']}{self.end}" for turn in turns)
        return text + "<assistant>" * add_generation_prompt


def learned_text(row, tokenizer) -> str:
    """A row's text, with what is learned in brackets."""
    text = ""
    for letter, learned in zip(*tokens.encode(row, tokenizer), strict=True):
        letter = chr(letter or ord("~"))
        text += f"[{letter}]" if learned else letter
    return text.replace("][", "")


CONVERSATION = rows.parse(
    json.dumps(
        {
            "messages": [
                {"role": "user", "content": "How warm?"},
                {"role": "assistant", "content": "I look.", "weight": 0},
                {"role": "tool", "content": "21"},
                {"role": "assistant", "content": "21 degrees."},
            ]
        }
    )
)


def test_only_answers_are_learned():
    row = rows.parse('{"prompt": "2 {content} 2", "completion": "4"}')
    assert learned_text(row, Spelling()) == "2 {content} 2\n###\n[4~]"
    assert learned_text(CONVERSATION, Spelling()) == (
        "User:\nHow warm?\n\nAssistant:\nI look.~Tool:\n21\n\nAssistant:\n[21 degrees.~]"
    )


def test_the_models_own_chat_template_goes_first():
    assert learned_text(CONVERSATION, Spelling("its own")) == (
        "<user>How warm?~<assistant>I look.~<tool>21~<assistant>[21 degrees.~]"
    )


def test_a_prompt_and_its_completion_are_two_turns_of_the_own_template():
    row = rows.parse('{"prompt": "2 + 2", "completion": "4"}')
    assert learned_text(row, Spelling("its own")) == "<user>2 + 2~<assistant>[4~]"
    assert learned_text(row, Spelling(template.CHAT_TEMPLATE)) == "2 + 2\n###\n[4~]", "that one is ours"
    assert not template.own("text", Spelling("its own"))


def test_an_answer_is_learned_with_the_token_that_ends_it_and_never_without_one():
    row = rows.parse('{"prompt": "2 + 2", "completion": "4"}')
    assert learned_text(row, Spelling("its own", end="~\n")) == "<user>2 + 2~\n<assistant>[4~]\n"
    assert learned_text(row, Spelling("its own", end="\n")) == "<user>2 + 2\n<assistant>[4\n~]"


def test_the_template_is_the_engines():
    source = (ENGINE / "data/template.rs").read_text()
    for name, text in template.TEMPLATE.items():
        literal = json.dumps(text)
        assert f"{name}: {literal}.into()" in source or (name == "tool" and f"{literal}.into()" in source), name


def test_cutting_keeps_the_answer_and_what_is_nearest_to_it():
    ids, learned = tokens.cut(list(range(10)), [at >= 7 for at in range(10)], 8)
    assert (ids, sum(learned)) == (list(range(2, 10)), 3)
    ids, learned = tokens.cut(list(range(20)), [at >= 6 for at in range(20)], 8)
    assert (ids, sum(learned)) == (list(range(4, 12)), 6)


def test_every_token_of_a_text_is_predicted_once(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "abcdef"}\n{"text": "gh"}\n')
    sequences = tokens.read(rows.Channel(Path(tmp_path), "training"), Spelling(), 4, seq2seq=False)
    windows = ["".join(chr(token or ord("~")) for token in window) for window in sequences.inputs]
    assert windows == ["~abc", "def~", "gh"]
    assert "".join(chr(t or ord("~")) for targets in sequences.targets for t in targets) == "abcdef~gh~"


def test_each_epoch_goes_through_every_row_once_and_in_a_new_order():
    sequences = tokens.Sequences(inputs=[[at] for at in range(50)])
    order = tokens.Order(sequences, 100, seed=1)
    first, second = [order[at] for at in range(50)], [order[at] for at in range(50, 100)]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    # A later place is found without those before it.
    assert tokens.Order(sequences, 100, seed=1)[70] == second[20]
    assert [tokens.Order(sequences, 100, seed=2)[at] for at in range(50)] != first
