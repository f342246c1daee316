"""A machine that is taken away: with notice, without, and in the middle of a checkpoint."""

import json
import signal
import textwrap

import pytest
from conftest import QUICK, ROOT, Result

from finetuning import checkpoints
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
    # Far more steps than pass before the signal; none is on the way to a checkpoint of its own accord.
    settings = {**QUICK, "max_steps": "3000", "checkpoint_steps": "100000", "lr_scheduler": "constant"}
    process = job.start(**settings)
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
    assert first.events("phase")[-1]["phase"] == "stopped"
    assert json.loads((job.model / "llm_tuner.json").read_text())["result"]["steps"] == step < 3000
    # The very same settings are the very same run; a constant rate lets it be cut short here.
    manifest = job.checkpoints / f"checkpoint-{step}" / "manifest.json"
    shorter = {**settings, "max_steps": str(step + 8)}
    with_settings(manifest, shorter)
    second = run(**shorter)
    assert second.code == 0
    seen = [line["step"] for line in second.events("progress")]
    assert seen == list(range(step + 1, step + 9))
    assert max(loss for _, loss in second.metric("train_loss")) < first.metric("train_loss")[0][1]


def with_settings(manifest, settings):
    from finetuning.settings import parse

    content = json.loads(manifest.read_text())
    content["fingerprint"]["settings"] = Fingerprint.of(parse(settings).to_strings(), [], "").settings
    manifest.write_text(json.dumps(content))


@pytest.mark.parametrize("lora", ["false", "true"])
def test_killed_while_writing_a_checkpoint(job, gpt2, run, lora):
    settings = {**QUICK, "lora": lora, "lora_dropout": "0.1"}
    expected = uninterrupted(run, job, **settings)
    if lora == "false":
        process = job.start(program=["-c", KILLED_IN_A_CHECKPOINT], **settings)
        lines = process.communicate()[0].splitlines()
        assert process.returncode == -signal.SIGKILL, lines
        assert (job.checkpoints / "checkpoint-4/optimizer.pt").is_file()
    else:
        assert run(**settings).code == 0
        (job.checkpoints / "checkpoint-8/manifest.json").unlink()
        (job.checkpoints / "checkpoint-6").rename(job.checkpoints / "checkpoint-2")
    assert whole(job) == [2]
    second = run(**settings)
    assert second.code == 0
    start = second.events("progress")[0]["step"]
    losses = second.metric("train_loss")
    assert [step for step, _ in losses] == list(range(start, 9))
    # The rows, the optimizer and the random numbers are those of a run that nothing disturbed.
    assert losses == [(step, pytest.approx(loss, rel=1e-4)) for step, loss in expected[start - 1 :]]
    assert whole(job) == [6, 8]


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
