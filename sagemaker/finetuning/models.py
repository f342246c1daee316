"""The base model, its adapter, and the result: a directory that `transformers` or `peft` loads."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.pytorch_utils import Conv1D

from . import template
from .checkpoints import Progress
from .errors import JobError
from .report import log
from .settings import Settings, settings_error

# Where architectures keep their dropout.
DROPOUTS = (
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "dropout",
    "dropout_rate",
    "attention_dropout",
    "hidden_dropout",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
)
# Above this, activations are computed again in the backward pass: slower by a third, but it fits.
LARGE = 1_000_000_000


@dataclass
class Base:
    """What there is before training."""

    source: str
    name: str
    config: object
    tokenizer: object

    @property
    def seq2seq(self) -> bool:
        return bool(self.config.is_encoder_decoder)

    @property
    def pad(self) -> int:
        pad = self.tokenizer.pad_token_id
        return self.tokenizer.eos_token_id if pad is None else pad

    @property
    def decoder_start(self) -> int | None:
        if not self.seq2seq:
            return None
        start = self.config.decoder_start_token_id
        return self.pad if start is None else start

    def positions(self) -> int | None:
        """The longest sequence that the model can read; relative positions have no end."""
        if self.seq2seq:
            return None
        return getattr(self.config, "max_position_embeddings", None)

    def identity(self) -> str:
        """Configuration and sizes: cheap even for large weights, and enough to notice another model."""
        directory = Path(self.source)
        weights = directory.glob("*.safetensors") if directory.is_dir() else ()
        sizes = sorted((path.name, path.stat().st_size) for path in weights)
        return f"{self.name} {self.config.to_json_string()} {sizes}"


def find_base(channel: Path | None, settings: Settings) -> Base:
    """The model of the channel, or else the one of the Hub."""
    if channel and not (channel / "config.json").is_file():
        raise JobError(
            "the channel model: there is no config.json in it",
            "Give it a model directory in the Hugging Face layout: config.json, *.safetensors and the tokenizer.",
        )
    if not channel and not settings.model_id:
        needed = 'is needed where there is no channel "model", such as openai-community/gpt2'
        raise settings_error({"model_id": needed})
    source = str(channel or settings.model_id)
    where = "the channel model" if channel else f"the model {source}"
    config = _loaded(where, lambda: AutoConfig.from_pretrained(source))
    tokenizer = _loaded(where, lambda: AutoTokenizer.from_pretrained(source))
    if tokenizer.eos_token_id is None:
        raise _unfit(where, "its tokenizer has no end-of-text token (eos_token)")
    named = json.loads((channel / "config.json").read_text()).get("_name_or_path") if channel else None
    return Base(source, named or settings.model_id or "base model", config, tokenizer)


def load(base: Base, settings: Settings) -> torch.nn.Module:
    """The model as it is trained: all weights, or an adapter over frozen ones."""
    for name in DROPOUTS if settings.dropout is not None else ():
        if isinstance(getattr(base.config, name, None), float):
            setattr(base.config, name, settings.dropout)
    kind = AutoModelForSeq2SeqLM if base.seq2seq else AutoModelForCausalLM
    # A frozen base is only read; weights that are trained keep their full precision.
    dtype = torch.bfloat16 if settings.lora and has_bf16() else torch.float32
    model = _loaded("the base model", lambda: kind.from_pretrained(base.source, config=base.config, dtype=dtype))
    if len(base.tokenizer) > model.get_input_embeddings().num_embeddings:
        raise _unfit("the base model", "its tokenizer has more tokens than the model knows")
    model.config.use_cache = False
    if settings.gradient_checkpointing or (torch.cuda.is_available() and size(model) > LARGE):
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if settings.lora:
        model = _with_adapter(model, base, settings)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    log(f"The model has {size(model)} weights, of which {trained} are trained.")
    return model


def has_bf16() -> bool:
    """Compute capability 8 (Ampere) is the first with bfloat16 in hardware."""
    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)


def size(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _with_adapter(model: torch.nn.Module, base: Base, settings: Settings) -> torch.nn.Module:
    from peft import LoraConfig, TaskType, get_peft_model
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    modules = settings.lora_target_modules or KNOWN.get(base.config.model_type, ())
    if modules == ("all-linear",):
        modules = ()
    if settings.lora_target_modules:
        _refuse_unknown_layers(model, tuple(modules))
    config = LoraConfig(
        task_type=TaskType.SEQ_2_SEQ_LM if base.seq2seq else TaskType.CAUSAL_LM,
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=list(modules) or "all-linear",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )
    adapted = get_peft_model(model, config)
    adapted.peft_config["default"].base_model_name_or_path = base.name
    return adapted


def _refuse_unknown_layers(model: torch.nn.Module, modules: tuple[str, ...]) -> None:
    head = model.get_output_embeddings()
    linear = (torch.nn.Linear, Conv1D)
    layers = [name for name, layer in model.named_modules() if isinstance(layer, linear) and layer is not head]
    for module in modules:
        if not any(f".{name}".endswith(f".{module}") for name in layers):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
            message = f'"{module[:40]}" is no layer of this model; known are {known}'
            raise settings_error({"lora_target_modules": message})


def restore(model: torch.nn.Module, directory: Path, settings: Settings) -> torch.nn.Module:
    """The model with the trained weights of a checkpoint."""
    if not settings.lora:
        return type(model).from_pretrained(directory, dtype=model.dtype).to(model.device)
    from peft import load_peft_weights, set_peft_model_state_dict

    set_peft_model_state_dict(model, load_peft_weights(directory, device=str(model.device)))
    return model


def save(
    model: torch.nn.Module,
    base: Base,
    settings: Settings,
    kind: str,
    files: list[dict],
    progress: Progress,
    directory: Path,
) -> None:
    """LoRA gives an adapter; with `merge_adapter`, a whole model with the adapter in `adapter/` beside it.

    `llm_tuner.json` says how the model was made and how to talk to it, as the engine's does; where
    `own_chat_template` is true, the tokenizer's chat template goes before the one that is written there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if settings.lora and settings.merge_adapter:
        model.save_pretrained(directory / "adapter")
        model = model.merge_and_unload()
    model.config.use_cache = True
    model.save_pretrained(directory)
    own_template = template.own(kind, base.tokenizer) and not base.seq2seq
    if kind == "chat" and not base.tokenizer.chat_template:
        base.tokenizer.chat_template = template.CHAT_TEMPLATE
    base.tokenizer.save_pretrained(directory)
    record = {
        "engine_version": "sagemaker",
        "base_model": base.name,
        "template": template.record(kind, base.seq2seq),
        "own_chat_template": own_template,
        "hyperparameters": settings.to_strings(),
        "data": files,
        "result": _result(progress),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (directory / "llm_tuner.json").write_text(text, encoding="utf-8")


def _result(progress: Progress) -> dict:
    result = {"steps": progress.step, "train_loss": progress.train_loss, "tokens": progress.tokens}
    return result if progress.eval_loss is None else {**result, "eval_loss": progress.eval_loss}


def _loaded(where: str, load):
    try:
        return load()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise _unfit(where, " ".join(str(error).split())) from error


def _unfit(where: str, why: str) -> JobError:
    return JobError(
        f"{where} cannot be loaded: {why}",
        "Use config.json, weights and tokenizer of one model, or a model_id that this machine can reach.",
    )
