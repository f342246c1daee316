"""A machine that is taken away: with notice, without, and in the middle of a checkpoint."""

import json
import signal
import textwrap

import pytest
import torch
from conftest import QUICK, ROOT, ROWS, Result

from finetuning import checkpoints, models, training
from finetuning.checkpoints import Fingerprint, Progress
from finetuning.errors import JobError

# Killed while the optimizer's state of the second checkpoint is being written: half the file is there.
KILLED_IN_A_CHECKPOINT = textwrap.dedent(
    f"""
    import io, os, runpy, signal, sys
    import torch

    save, count = torch.save, 0

    def half(value, path, *args, **kwargs):
        global count
        count += str(path).endswith("optimizer.pt")
        if count < 2:
            return save(value, path, *args, **kwargs)
        buffer = io.BytesIO()
        save(value, buffer)
        with open(path, "wb") as file:
            file.write(buffer.getvalue()[: buffer.tell() // 2])
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half
    sys.argv[0] = {str(ROOT / "finetune.py")!r}
    runpy.run_path(sys.argv[0], run_name="__main__")
    """
)


def whole(job) -> list[int]:
    return [step for step in checkpoints.steps(job.checkpoints) if checkpoints.at_step(job.checkpoints, step)]


def uninterrupted(run, job, **settings) -> list[tuple[int, float]]:
    """The losses of a run that nothing disturbs; nothing of it is left."""
    losses = run(**settings).metric("train_loss")
    checkpoints.sweep(job.checkpoints, keep=set())
    return losses


def test_sigterm_keeps_a_checkpoint_and_the_next_run_goes_on_from_it(job, gpt2, run):
    # Steps enough that their lines fill the small pipe: the script cannot come to its end before they are read.
    settings = {**QUICK, "max_steps": "99", "checkpoint_steps": "100000"}
    process = job.start_without_toolkit(**settings)
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if '"event":"progress"' in line:
            process.send_signal(signal.SIGTERM)
            break
    lines += [line.rstrip("\n") for line in process.stdout]
    assert process.wait() == 0, lines
    [step] = whole(job)
    first = Result(0, lines)
    assert step < 99
    assert first.events("phase")[-1]["phase"] == "stopped"
    assert json.loads((job.model / "llm_tuner.json").read_text())["result"]["steps"] == step
    second = run(**settings)
    assert second.code == 0
    both = first.metric("train_loss") + second.metric("train_loss")
    assert [at for at, _ in both] == list(range(1, 100))
    assert max(loss for _, loss in second.metric("train_loss")) < both[0][1]
    assert second.events("phase")[-1]["phase"] == "completed"


def test_sigterm_before_the_first_step_ends_the_job(job, gpt2, run, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_: signal.raise_signal(signal.SIGTERM))
    result = run(**QUICK)
    assert (result.code, result.events("phase")[-1]["phase"]) == (0, "stopped")
    assert list(job.model.iterdir()) == []


def test_sigterm_cuts_an_evaluation_short(job, gpt2, run, monkeypatch):
    job.write("validation", ROWS)
    batches = []

    def interrupted(*_):
        signal.raise_signal(signal.SIGTERM)
        batches.append(1)
        return torch.zeros(())

    monkeypatch.setattr(training, "_sum_over_tokens", interrupted)
    monkeypatch.setattr(training, "_mean_over_tokens", lambda outputs, *_, **__: outputs["logits"].mean())
    result = run(**QUICK, eval_steps="3")
    assert result.code == 0
    assert (len(batches), result.metric("eval_loss")) == (1, [])
    assert whole(job) == [2, 3]


def test_killed_while_writing_a_checkpoint(job, gpt2, run):
    settings = {**QUICK, "dropout": "0.1"}
    expected = uninterrupted(run, job, **settings)
    process = job.start(["-c", KILLED_IN_A_CHECKPOINT], **settings)
    lines = process.communicate()[0].splitlines()
    assert process.returncode == -signal.SIGKILL, lines
    assert (job.checkpoints / "checkpoint-4/optimizer.pt").is_file()
    assert whole(job) == [2]
    goes_on_as_if_undisturbed(run(**settings), 3, expected)
    assert whole(job) == [6, 8]


def test_an_adapter_goes_on(job, gpt2, run):
    settings = {**QUICK, "lora": "true", "optimizer": "adam", "gradient_accumulation_steps": "2"}
    expected = run(**settings).metric("train_loss")
    (job.checkpoints / "checkpoint-8/manifest.json").unlink()
    goes_on_as_if_undisturbed(run(**settings), 7, expected)


def goes_on_as_if_undisturbed(result: Result, start: int, expected: list[tuple[int, float]]):
    """The rows, the optimizer and the random numbers are those of a run that nothing disturbed."""
    assert result.code == 0
    losses = result.metric("train_loss")
    assert losses == [(step, pytest.approx(loss, rel=1e-4)) for step, loss in expected[start - 1 :]]
    assert losses[0][0] == start


def test_killed_after_the_last_step_only_the_model_is_written(job, gpt2, run):
    assert run(**QUICK).code == 0
    weights = (job.model / "model.safetensors").read_bytes()
    (job.model / "model.safetensors").unlink()
    again = run(**QUICK)
    assert again.code == 0
    assert again.metric("train_loss") == []
    assert (job.model / "model.safetensors").read_bytes() == weights


def test_a_checkpoint_of_other_settings_is_refused(job, gpt2, run):
    assert run(**QUICK).code == 0
    assert run(**{**QUICK, "learning_rate": "0.02"}).code == 1
    assert job.failure.startswith("the checkpoints belong to a run with other settings.\n")


A_RUN = Fingerprint("settings", "data", "base")


def written(root, step):
    directory = root / f"checkpoint-{step}"
    (directory / "inner").mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "inner/more.json"):
        (directory / name).write_text(f"{name} of step {step}")
    return directory


def damage_by_cutting(file):
    file.write_text(file.read_text()[:-1])


def damage_by_changing(file):
    file.write_text(file.read_text()[::-1])


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "inner/more.json", "manifest.json"])
@pytest.mark.parametrize("damage", [type(ROOT).unlink, damage_by_cutting, damage_by_changing])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, name, damage):
    for step in (90, 100):
        checkpoints.seal(written(tmp_path, step), A_RUN, Progress(step=step))
    assert checkpoints.newest(tmp_path, A_RUN).progress.step == 100
    damage(tmp_path / "checkpoint-100" / name)
    assert checkpoints.newest(tmp_path, A_RUN).progress.step == 90


def test_an_unsealed_checkpoint_is_none(tmp_path):
    written(tmp_path, 10)
    assert checkpoints.newest(tmp_path, A_RUN) is None
    with pytest.raises(JobError, match="other base model"):
        checkpoints.seal(tmp_path / "checkpoint-10", A_RUN, Progress())
        checkpoints.newest(tmp_path, Fingerprint("settings", "data", "another"))
