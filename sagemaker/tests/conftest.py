"""A training job's directories with a tiny model in them, and the script that runs there."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
# The model comes from its channel; and what is so small goes fastest on one thread.
os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import finetune
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

ROWS = [{"prompt": f"{a} plus {b}", "completion": f" is {a + b}"} for a in range(4) for b in range(4)]
# Small and quick: 8 steps of 2 rows, all weights of the model.
QUICK = {
    "lora": "false",
    "max_steps": "8",
    "batch_size": "2",
    "gradient_accumulation_steps": "1",
    "max_sequence_length": "32",
    "learning_rate": "0.01",
    "warmup_ratio": "0",
    "dropout": "0",
    "checkpoint_steps": "2",
}


@dataclass
class Job:
    """What SageMaker lays out under /opt/ml, and the variables that its toolkit sets."""

    root: Path

    def __post_init__(self):
        for name in ("input/data/training", "model", "checkpoints", "output/data"):
            (self.root / name).mkdir(parents=True)
        self.write("training", ROWS)

    def write(self, channel: str, rows: list[dict], name: str = "data.jsonl") -> Path:
        path = self.root / "input/data" / channel / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def variables(self) -> dict[str, str]:
        channels = {f"SM_CHANNEL_{path.name.upper()}": str(path) for path in (self.root / "input/data").iterdir()}
        return {
            "SAGEMAKER_BASE_DIR": str(self.root),
            "SM_MODEL_DIR": str(self.model),
            "SM_OUTPUT_DATA_DIR": str(self.root / "output/data"),
            "SM_CHECKPOINT_DIR": str(self.checkpoints),
            "SM_NUM_GPUS": "0",
            "SM_CURRENT_HOST": "algo-1",
            **channels,
        }

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def base(self) -> Path:
        return self.root / "input/data/model"

    @property
    def failure(self) -> str:
        return (self.root / "output/failure").read_text()

    def start(self, script: list[str], **settings: str) -> subprocess.Popen:
        """The script as SageMaker's toolkit starts it: variables and arguments."""
        return self._start([*script, *arguments(settings)], self.variables())

    def start_without_toolkit(self, **settings: str) -> subprocess.Popen:
        """The script as a container's own entry point: nothing but the directories."""
        path = self.root / "input/config/hyperparameters.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**settings, "sagemaker_program": "finetune.py"}))
        return self._start([str(ROOT / "finetune.py")], {"SAGEMAKER_BASE_DIR": str(self.root)})

    def _start(self, command: list[str], variables: dict[str, str]) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pipesize=4096,
        )


@dataclass
class Result:
    code: int
    lines: list[str]

    def metric(self, name: str) -> list[tuple[int, float]]:
        return [(line["step"], line["value"]) for line in events(self.lines) if line.get("metric") == name]

    def events(self, name: str) -> list[dict]:
        return [line for line in events(self.lines) if line.get("event") == name]


def events(lines: list[str]) -> list[dict]:
    return [json.loads(line) for line in lines if line.startswith("{")]


def arguments(settings: dict[str, str]) -> list[str]:
    return [text for name, value in settings.items() for text in (f"--{name}", value)]


@pytest.fixture
def job(tmp_path) -> Job:
    return Job(tmp_path / "ml")


@pytest.fixture
def run(job, monkeypatch, capfd):
    """Runs the script's main function in this process, which spares loading PyTorch again."""

    def run(**settings: str) -> Result:
        for name, value in job.variables().items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = finetune.main(arguments(settings))
        return Result(code, capfd.readouterr().out.splitlines())

    return run


def a_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([row["prompt"] + row["completion"] for row in ROWS], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=special[0], pad_token=special[1])


@pytest.fixture
def gpt2(job) -> Path:
    """A GPT-2 with random weights, in the channel "model"."""
    tokenizer = a_tokenizer()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    return _save(job, tokenizer, GPT2LMHeadModel(config))


@pytest.fixture
def llama(job) -> Path:
    """A Llama with random weights and a chat template of its own, in the channel "model"."""
    tokenizer = a_tokenizer()
    tokenizer.chat_template = (
        "{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('No system turns.') }}"
        "{% endif %}{{ '<' + message['role'] + '>' + message['content'] + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    return _save(job, tokenizer, LlamaForCausalLM(config))


@pytest.fixture
def t5(job) -> Path:
    """A T5 with random weights, in the channel "model"."""
    tokenizer = a_tokenizer()
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        eos_token_id=0,
        pad_token_id=1,
        decoder_start_token_id=1,
    )
    return _save(job, tokenizer, T5ForConditionalGeneration(config))


def _save(job: Job, tokenizer: PreTrainedTokenizerFast, model: torch.nn.Module) -> Path:
    model.save_pretrained(job.base)
    tokenizer.save_pretrained(job.base)
    return job.base
