"""The loop: `transformers.Trainer` with the engine's order of rows, loss, evaluation, checkpoints and reports."""

import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainingArguments, get_scheduler

from . import checkpoints, models, report
from .checkpoints import Checkpoint, Fingerprint, Progress
from .errors import JobError
from .settings import Settings
from .surroundings import StopSignal
from .tokens import IGNORE, Collator, Order, Sequences

# Evaluations and checkpoints in a run where nothing else is asked for.
TIMES = 10
# Lines of each metric, at most about this many in a run.
REPORTS = 500


@dataclass
class Run:
    """What the loop needs."""

    settings: Settings
    base: models.Base
    training: Sequences
    validation: Sequences | None
    checkpoints: Path
    fingerprint: Fingerprint
    stop: StopSignal

    @property
    def total(self) -> int:
        return self.settings.total_steps(len(self.training))


def train(run: Run, model: torch.nn.Module, checkpoint: Checkpoint | None) -> tuple[torch.nn.Module, Progress]:
    """Trains to the end or until told to stop; the model is the best one where early stopping asks for it."""
    progress = checkpoint.progress if checkpoint else Progress()
    checkpoints.sweep(run.checkpoints, keep={progress.step, progress.best_step})
    if checkpoint:
        report.log(f"Going on from the checkpoint of step {progress.step}.")
    report.phase("training")
    if progress.done:
        model = models.restore(model, checkpoint.directory, run.settings)
    else:
        trainer = EngineTrainer(run, model, progress)
        trainer.train(resume_from_checkpoint=str(checkpoint.directory) if checkpoint else None)
    return _best(run, model, progress), progress


def _best(run: Run, model: torch.nn.Module, progress: Progress) -> torch.nn.Module:
    better = run.settings.early_stopping_patience and progress.best_step < progress.step
    directory = checkpoints.at_step(run.checkpoints, progress.best_step) if better else None
    if not directory:
        return model
    report.log(f"The model of step {progress.best_step}, the best one, is kept.")
    return models.restore(model, directory, run.settings)


class EngineTrainer(Trainer):
    """`Trainer`, whose loss is the mean over all learned tokens of a step, as the engine's is."""

    def __init__(self, run: Run, model: torch.nn.Module, progress: Progress):
        settings = run.settings
        rows = run.total * settings.batch_size * settings.gradient_accumulation_steps
        chosen = optimizer(model, settings)
        warmup = math.ceil(settings.warmup_ratio * run.total)
        super().__init__(
            model=model,
            args=_arguments(run),
            train_dataset=Order(run.training, rows, settings.seed),
            data_collator=Collator(run.training, run.base.pad, run.base.decoder_start),
            optimizers=(chosen, get_scheduler(settings.lr_scheduler, chosen, warmup, run.total)),
            compute_loss_func=_mean_over_tokens,
            callbacks=[Watch(run, progress, self)],
        )
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self.run, self.progress = run, progress

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """The batches of one step, and how many tokens are learned in them."""
        batches = list(itertools.islice(epoch_iterator, num_batches))
        self.progress.tokens += sum(int(batch["attention_mask"].sum()) for batch in batches)
        learned = sum((batch["labels"] != IGNORE).sum() for batch in batches)
        return batches, torch.as_tensor(learned, device=device).clamp(min=1)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        """Mean loss over the learned tokens of all held-out rows, in nats; nothing where SIGTERM cuts it short."""
        validation = self.run.validation
        collator = Collator(validation, self.run.base.pad, self.run.base.decoder_start)
        batches = DataLoader(range(len(validation)), self.run.settings.batch_size, collate_fn=collator)
        total, count = 0.0, 0
        self.model.eval()
        for batch in batches:
            if self.run.stop.requested:
                break
            batch = self._prepare_inputs(batch)
            labels = batch.pop("labels")
            with torch.no_grad(), self.compute_loss_context_manager():
                logits = self.model(**batch).logits
            total += _sum_over_tokens(logits, labels).item()
            count += int((labels != IGNORE).sum())
        self.model.train()
        metrics = {} if self.run.stop.requested else {"eval_loss": total / max(count, 1)}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def _sum_over_tokens(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum"
    )


def _mean_over_tokens(outputs, labels: torch.Tensor, num_items_in_batch: torch.Tensor) -> torch.Tensor:
    return _sum_over_tokens(outputs["logits"], labels) / num_items_in_batch


def optimizer(model: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Matrices decay; biases and layer norms do not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    return kinds[settings.optimizer](groups, lr=settings.learning_rate)


def _arguments(run: Run) -> TrainingArguments:
    """`Watch` decides when to report, evaluate and save; the optimizer and the schedule are ready-made."""
    gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(run.checkpoints),
        max_steps=run.total,
        per_device_train_batch_size=run.settings.batch_size,
        gradient_accumulation_steps=run.settings.gradient_accumulation_steps,
        max_grad_norm=run.settings.max_grad_norm,
        # NumPy knows no larger seed.
        seed=run.settings.seed % 2**32,
        train_sampling_strategy="sequential",
        bf16=models.has_bf16(),
        use_cpu=not gpu,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        remove_unused_columns=False,
        dataloader_pin_memory=gpu,
        disable_tqdm=True,
        report_to="none",
    )


class Watch(TrainerCallback):
    """Says after every step what comes next: report, evaluate, save, stop."""

    def __init__(self, run: Run, progress: Progress, trainer: EngineTrainer):
        settings, total = run.settings, run.total
        self.run, self.progress, self.trainer = run, progress, trainer
        self.eval_every = settings.eval_steps or math.ceil(total / TIMES)
        self.save_every = settings.checkpoint_steps or math.ceil(total / TIMES)
        self.report_every = max(1, total // REPORTS)
        self.begun = 0.0
        # Tokens and seconds at the last report.
        self.reported = (progress.tokens, progress.seconds)

    def on_step_begin(self, args, state, control, **_):
        self.begun = time.monotonic()

    def on_step_end(self, args, state, control, **_):
        step, last = state.global_step, state.global_step == self.run.total
        self.progress.step = step
        self.progress.seconds += time.monotonic() - self.begun
        stopped = self.run.stop.requested and not last
        self.progress.done = last
        control.should_log = last or step == 1 or step % self.report_every == 0
        control.should_evaluate = bool(self.run.validation) and not stopped and (last or step % self.eval_every == 0)
        control.should_save = last or stopped or step % self.save_every == 0
        control.should_training_stop = last or stopped
        if stopped:
            report.log(f"Stopped as asked, after step {step} of {self.run.total}.")

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" not in logs:
            return
        step, progress = self.progress.step, self.progress
        if not math.isfinite(logs["loss"]):
            raise JobError(
                f"the loss is not a number any more, at step {step}",
                "Start again with a third of the learning rate, and with max_grad_norm 1.",
            )
        # The mean of the first reports, then a running one over about fifty steps.
        share = max(min(1.0, self.report_every / step), min(1.0, 0.02 * self.report_every))
        progress.train_loss += share * (logs["loss"] - progress.train_loss)
        report.metric("train_loss", logs["loss"], step)
        report.metric("learning_rate", logs["learning_rate"], step)
        if "grad_norm" in logs:
            report.metric("grad_norm", logs["grad_norm"], step)
        tokens, seconds = progress.tokens - self.reported[0], progress.seconds - self.reported[1]
        self.reported = (progress.tokens, progress.seconds)
        if seconds > 0:
            report.metric("tokens_per_second", tokens / seconds, step)
        report.event(
            "progress",
            phase="training",
            step=step,
            total_steps=self.run.total,
            epoch=progress.tokens / self.run.training.tokens(),
            tokens=progress.tokens,
            elapsed_seconds=progress.seconds,
            remaining_seconds=progress.seconds / step * (self.run.total - step),
        )

    def on_evaluate(self, args, state, control, metrics=None, **_):
        if not metrics:
            # SIGTERM came meanwhile.
            control.should_save = control.should_training_stop = True
            return
        progress, loss, patience = self.progress, metrics["eval_loss"], self.run.settings.early_stopping_patience
        report.metric("eval_loss", loss, progress.step)
        progress.eval_loss = loss
        if progress.best_eval_loss is None or loss < progress.best_eval_loss:
            progress.best_eval_loss, progress.best_step = loss, progress.step
            progress.evaluations_without_improvement = 0
            control.should_save = control.should_save or bool(patience)
            return
        progress.evaluations_without_improvement += 1
        if patience and progress.evaluations_without_improvement >= patience:
            report.log(f"No better evaluation for a while: training ends at step {progress.step}.")
            progress.done = control.should_save = control.should_training_stop = True

    def on_save(self, args, state, control, **_):
        root, step = self.run.checkpoints, self.progress.step
        checkpoints.seal(root / f"checkpoint-{step}", self.run.fingerprint, self.progress)
        newest = checkpoints.steps(root)[-checkpoints.KEEP :]
        best = {self.progress.best_step} if self.run.settings.early_stopping_patience else set()
        checkpoints.sweep(root, keep={*newest, *best})
        report.event("checkpoint", step=step)
