"""Fine-tunes a language model in a SageMaker training job: `finetune.py --learning_rate 2e-4 --epochs 3 …`.

It runs in a Hugging Face container in script mode, or wherever the same variables (SM_CHANNEL_TRAINING,
SM_CHANNEL_VALIDATION, SM_CHANNEL_MODEL, SM_MODEL_DIR, SM_CHECKPOINT_DIR) say where things lie. As a container's
own entry point, without arguments, it reads input/config/hyperparameters.json.
"""

import os
import sys
import traceback

from finetuning import settings as hyperparameters
from finetuning.errors import JobError, Stopped
from finetuning.report import event, log, phase
from finetuning.surroundings import StopSignal, Surroundings, one_gpu


def main(arguments: list[str]) -> int:
    surroundings = Surroundings.of(os.environ)
    surroundings.clear_failure()
    try:
        with StopSignal() as stop:
            settings = hyperparameters.from_arguments(arguments or surroundings.arguments())
            surroundings.refuse_several_hosts()
            one_gpu()
            run(settings, surroundings, stop)
        return 0
    except Stopped:
        log("Stopped as asked, before the first step.")
        phase("stopped")
        return 0
    except Exception as error:
        return fail(surroundings, error)


def run(settings: hyperparameters.Settings, surroundings: Surroundings, stop: StopSignal) -> None:
    # Here, not above: loading them takes seconds, and a mistake in the settings shows at once.
    import torch
    import transformers

    from finetuning import checkpoints, models, tokens, training
    from finetuning.rows import Channel

    phase("preparing")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    transformers.utils.logging.disable_progress_bar()
    transformers.set_seed(settings.seed % 2**32)
    channels = [Channel(surroundings.training, "training")]
    if surroundings.validation:
        channels.append(Channel(surroundings.validation, "validation"))
    elif settings.early_stopping_patience:
        message = "needs validation data, and there is none; add some or switch it off"
        raise hyperparameters.settings_error({"early_stopping_patience": message})

    base = models.find_base(surroundings.base_model, settings)
    max_length = fitting_length(settings, base)
    sequences = []
    for channel in channels:
        channel.kind = channels[0].kind
        sequences.append(tokens.read(channel, base.tokenizer, max_length, base.seq2seq))
    files = [file for channel in channels for file in channel.files]
    tell_about_data(sequences, len(base.tokenizer))
    event("batch", **tokens.shown(sequences[0], base.tokenizer, settings.batch_size, settings.seed))

    fingerprint = checkpoints.Fingerprint.of(settings.to_strings(), files, base.identity())
    checkpoint = checkpoints.newest(surroundings.checkpoints, fingerprint)
    model = models.load(base, settings)
    validation = sequences[1] if len(sequences) > 1 else None
    stop.waits_for_training = False
    job = training.Run(settings, base, sequences[0], validation, surroundings.checkpoints, fingerprint, stop)
    model, progress = training.train(job, model, checkpoint)
    if stop.time_for_the_model():
        phase("saving")
        models.save(model, base, settings, sequences[0].kind, files, progress, surroundings.model)
    else:
        log("There is no time left to write the model; the checkpoint is kept.")
    phase("completed" if progress.done else "stopped")


def fitting_length(settings: hyperparameters.Settings, base) -> int:
    positions = base.positions()
    if not positions or settings.max_sequence_length <= positions:
        return settings.max_sequence_length
    log(
        f"max_sequence_length is {settings.max_sequence_length}, and the model has {positions} positions; "
        "rows are cut to those."
    )
    return positions


def tell_about_data(sequences: list, vocabulary: int) -> None:
    """The figures that explain a surprising result."""
    training = sequences[0]
    event(
        "data",
        kind=training.kind,
        rows=training.rows,
        sequences=len(training),
        tokens_per_epoch=training.tokens(),
        predicted_per_epoch=training.predicted(),
        truncated_rows=training.truncated,
        validation_sequences=sum(map(len, sequences[1:])),
        vocab_size=vocabulary,
    )
    log(f"{training.rows} rows, {training.tokens()} tokens per epoch, of which {training.predicted()} are learned.")
    if training.truncated:
        share = 100 * training.truncated / training.rows
        log(f"{training.truncated} rows ({share:.1f} %) are longer than max_sequence_length and were cut.")


def fail(surroundings: Surroundings, error: Exception) -> int:
    """Says why in `output/failure` and on stderr; what nobody foresaw also with its place in the code."""
    if not isinstance(error, JobError):
        traceback.print_exc()
        error = explained(error)
    text = error.failure_text()
    print(text, file=sys.stderr)
    surroundings.write_failure(text)
    return 1


def explained(error: Exception) -> JobError:
    if type(error).__name__ in ("OutOfMemoryError", "MemoryError"):
        return JobError(
            "the machine's memory does not hold this training",
            "Halve batch_size and double gradient_accumulation_steps, lower max_sequence_length, "
            "or choose an instance with more memory.",
        )
    if isinstance(error, OSError) and error.errno == 28:
        return JobError(f"the disk is full: {error.filename}", "Start again with a larger volume.")
    return JobError(
        f"the script stopped because of an error of its own: {type(error).__name__}: {error}",
        "Start the job again; if it fails again, report the log as an error.",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
