"""The settings of a training run: names, defaults, bounds, and their form as text.

They are those of the engine (`engine/src/hyperparameters.rs`); a test holds the two together.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .errors import JobError

# In the order in which mistakes are told.
NAMES = (
    "learning_rate",
    "epochs",
    "max_steps",
    "max_sequence_length",
    "batch_size",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
    "lr_scheduler",
    "warmup_ratio",
    "optimizer",
    "weight_decay",
    "max_grad_norm",
    "dropout",
    "seed",
    "lora",
    "lora_r",
    "lora_alpha",
    "lora_dropout",
    "lora_target_modules",
    "merge_adapter",
    "eval_steps",
    "checkpoint_steps",
    "early_stopping_patience",
)
# Not settings of the training, but of where it runs.
SURROUNDINGS = ("threads", "model_id")

# Said only where there is an adapter.
OF_LORA = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "merge_adapter")

SCHEDULERS = ("cosine", "linear", "constant")
OPTIMIZERS = ("adamw", "adam", "sgd")

TRUE = ("true", "1", "yes", "on")
FALSE = ("false", "0", "no", "off")


@dataclass(frozen=True)
class Rule:
    """A number, what holds for it, and how that is said."""

    read: Callable[[str], float]
    holds: Callable[[float], bool]
    words: str


def whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(text)
    return int(text)


def number(text: str) -> float:
    if "_" in text:
        raise ValueError(text)
    return float(text)


def between(low: int, high: int, otherwise: str = "") -> Rule:
    return Rule(whole, lambda n: low <= n <= high, f"a whole number from {low} to {high}{otherwise}")


RULES = {
    "learning_rate": Rule(number, lambda n: 0 < n < 1, "a number above 0 and below 1"),
    "epochs": Rule(number, lambda n: 0 < n <= 1000, "above 0, at most 1000"),
    "max_steps": between(1, 10_000_000),
    "max_sequence_length": between(8, 131_072),
    "batch_size": between(1, 4096),
    "gradient_accumulation_steps": between(1, 1024),
    "warmup_ratio": Rule(number, lambda n: 0 <= n < 1, "at least 0 and below 1"),
    "weight_decay": Rule(number, lambda n: 0 <= n <= 1, "from 0 to 1"),
    "max_grad_norm": Rule(number, lambda n: 0 <= n <= 1000, "from 0 (off) to 1000"),
    "dropout": Rule(number, lambda n: 0 <= n <= 0.9, "from 0 to 0.9"),
    "seed": between(0, 9_007_199_254_740_991),
    "lora_r": between(1, 1024),
    "lora_alpha": Rule(number, lambda n: 0 < n <= 10_000, "above 0, at most 10000"),
    "lora_dropout": Rule(number, lambda n: 0 <= n <= 0.9, "from 0 to 0.9"),
    "eval_steps": between(1, 10_000_000, ", or empty to choose by itself"),
    "checkpoint_steps": between(1, 10_000_000, ", or empty to choose by itself"),
    "early_stopping_patience": between(1, 1000, ", or empty to switch it off"),
    "threads": between(1, 1024),
}


@dataclass(frozen=True)
class Settings:
    """All settings of a run, each within its bounds. The defaults are those of LoRA."""

    learning_rate: float = 2e-4
    epochs: float | None = 3.0
    max_steps: int | None = None
    max_sequence_length: int = 512
    batch_size: int = 4
    gradient_accumulation_steps: int = 2
    lr_scheduler: str = "cosine"
    warmup_ratio: float = 0.03
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    # None: what the base model's config.json says.
    dropout: float | None = 0.0
    seed: int = 42
    lora: bool = True
    lora_r: int = 8
    lora_alpha: float = 16.0
    lora_dropout: float = 0.05
    # None: what PEFT takes for the model's architecture (c_attn for GPT-2).
    lora_target_modules: tuple[str, ...] | None = None
    gradient_checkpointing: bool = False
    merge_adapter: bool = False
    eval_steps: int | None = None
    checkpoint_steps: int | None = None
    early_stopping_patience: int | None = None
    threads: int | None = None
    model_id: str | None = None

    def total_steps(self, sequences: int) -> int:
        """Optimizer steps for so many rows (or windows of plain text); at least 1."""
        if self.max_steps:
            return self.max_steps
        per_step = self.batch_size * self.gradient_accumulation_steps
        return max(1, -int(-(self.epochs * sequences) // per_step))

    def to_strings(self) -> dict[str, str]:
        """The inverse of `parse`, as the engine records it; where the training runs is left out."""
        values = {name: getattr(self, name) for name in NAMES if self.lora or name not in OF_LORA}
        return {name: _text(value) for name, value in values.items() if value is not None}


# How full fine-tuning differs.
FULL = {"learning_rate": 2e-5, "dropout": None, "lora": False}


def from_arguments(arguments: list[str]) -> Settings:
    """Reads `--key value` and `--key=value`, as SageMaker's container hands hyperparameters over."""
    values, rest = {}, list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            what = f'the arguments are pairs of --name and value, and "{_shorten(argument)}" is not part of one'
            raise JobError(what, "Give each setting as --name value.")
        name, equals, value = argument[2:].partition("=")
        values[name] = value if equals else rest.pop(0) if rest else ""
    return parse(values)


def parse(values: dict[str, str]) -> Settings:
    """Reads settings handed over as text; what is absent or empty takes its default.

    All mistakes are told at once, in the order of `NAMES`, unknown names last. SageMaker's own names
    (`sagemaker_…`) are passed over.
    """
    texts = {name: text for name, value in values.items() if (text := _unquoted(value))}
    errors: dict[str, str] = {}
    chosen: dict = {}
    for name, rule in RULES.items():
        _keep(chosen, errors, name, texts, lambda text, rule=rule: _number(text, rule))
    for name in ("lora", "merge_adapter", "gradient_checkpointing"):
        _keep(chosen, errors, name, texts, _boolean)
    for name, words in (("lr_scheduler", SCHEDULERS), ("optimizer", OPTIMIZERS)):
        _keep(chosen, errors, name, texts, lambda text, words=words: _one_of(text, words))
    _keep(chosen, errors, "lora_target_modules", texts, _names)
    _keep(chosen, errors, "model_id", texts, str)
    if "epochs" in chosen and "max_steps" in chosen:
        errors["max_steps"] = "give either epochs or max_steps, not both"
    for name in sorted(values):
        if name not in NAMES + SURROUNDINGS and not name.startswith("sagemaker_"):
            errors[_shorten(name)] = "is no setting of this script; check the spelling"
    if errors:
        raise settings_error(errors)
    return _settings(chosen)


def settings_error(errors: dict[str, str]) -> JobError:
    """Mistakes by the name of their setting."""
    place = {name: at for at, name in enumerate(NAMES)}
    ordered = sorted(errors.items(), key=lambda error: place.get(error[0], len(NAMES)))
    what = "hyperparameters: " + "; ".join(f"{name}: {message}" for name, message in ordered)
    return JobError(what, "Correct these settings and start the job again.")


def _settings(chosen: dict) -> Settings:
    if "max_steps" in chosen:
        chosen["epochs"] = None
    if not chosen.get("lora", True):
        return Settings(**{**FULL, **chosen, "merge_adapter": False})
    if "lora_r" in chosen:
        # The usual rule of thumb: alpha is twice r unless both are chosen.
        chosen.setdefault("lora_alpha", 2.0 * chosen["lora_r"])
    return Settings(**chosen)


def _keep(chosen: dict, errors: dict, name: str, texts: dict, read: Callable) -> None:
    if name in texts:
        try:
            chosen[name] = read(texts[name])
        except ValueError as error:
            errors[name] = str(error)


def _number(text: str, rule: Rule) -> float:
    try:
        value = rule.read(text)
    except ValueError:
        raise ValueError(f'must be {rule.words}, not "{_shorten(text)}"') from None
    if not rule.holds(value):
        raise ValueError(f"must be {rule.words}, not {value}")
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in TRUE + FALSE:
        raise ValueError(f'must be true or false, not "{_shorten(text)}"')
    return text.lower() in TRUE


def _one_of(text: str, words: tuple[str, ...]) -> str:
    if text.lower() not in words:
        raise ValueError(f'must be one of {", ".join(words)}, not "{_shorten(text)}"')
    return text.lower()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise ValueError("must name at least one layer, such as c_attn")
    return names


def _unquoted(value: str) -> str:
    """The trimmed value without one layer of JSON quotes, which SageMaker's Python SDK adds."""
    value = value.strip()
    return value[1:-1].strip() if len(value) > 1 and value[0] == value[-1] == '"' else value


def _shorten(text: str) -> str:
    """A long or odd value must not flood the message."""
    printable = "".join(c for c in text if c.isprintable())
    return printable[:40] + "…" if len(printable) > 40 else printable


def _text(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.15g}"
    return ",".join(value) if isinstance(value, tuple) else str(value)
