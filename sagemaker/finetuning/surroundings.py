"""Where things lie in the container, and when it has to be left."""

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import JobError, Stopped

# SageMaker kills 120 seconds after SIGTERM; a model that is not begun by then is better left to the checkpoint.
TIME_FOR_THE_CHECKPOINT = 60


@dataclass(frozen=True)
class Surroundings:
    """The directories of a SageMaker training job, by the variables that its toolkit sets.

    Without the toolkit they are where SageMaker lays them out.
    """

    config: Path
    training: Path
    validation: Path | None
    base_model: Path | None
    model: Path
    checkpoints: Path
    output: Path

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Surroundings":
        root = Path(variables.get("SAGEMAKER_BASE_DIR") or "/opt/ml")

        def path(name: str, otherwise: str) -> Path:
            return Path(variables.get(name) or root / otherwise)

        def channel(name: str) -> Path | None:
            directory = path(f"SM_CHANNEL_{name}", f"input/data/{name.lower()}")
            return directory if directory.is_dir() else None

        return cls(
            config=root / "input/config",
            training=path("SM_CHANNEL_TRAINING", "input/data/training"),
            validation=channel("VALIDATION"),
            base_model=channel("MODEL"),
            model=path("SM_MODEL_DIR", "model"),
            checkpoints=path("SM_CHECKPOINT_DIR", "checkpoints"),
            output=path("SM_OUTPUT_DIR", "output"),
        )

    def arguments(self) -> list[str]:
        """The hyperparameters as the toolkit would hand them over."""
        return [f"--{name}={value}" for name, value in self._config("hyperparameters").items()]

    def refuse_several_hosts(self) -> None:
        hosts = self._config("resourceconfig").get("hosts", [])
        if len(hosts) > 1:
            raise JobError(f"{len(hosts)} hosts, and a job runs on one", "Set the instance count to 1.")

    def _config(self, name: str) -> dict:
        path = self.config / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def write_failure(self, text: str) -> None:
        """SageMaker shows this file's beginning as the job's failure reason."""
        self.output.mkdir(parents=True, exist_ok=True)
        (self.output / "failure").write_text(text, encoding="utf-8")

    def clear_failure(self) -> None:
        """Removes the failure of an earlier run."""
        (self.output / "failure").unlink(missing_ok=True)


def one_gpu() -> None:
    """Keeps to the first GPU: several would multiply the batch size that the settings name."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")


class StopSignal:
    """SIGTERM: before training it ends the job, in training it is asked for after every step."""

    def __init__(self):
        self.at: float | None = None
        self.waits_for_training = True

    def __enter__(self) -> "StopSignal":
        self._before = signal.signal(signal.SIGTERM, self._came)
        return self

    def __exit__(self, *_) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _came(self, *_) -> None:
        self.at = self.at or time.monotonic()
        if self.waits_for_training:
            raise Stopped

    @property
    def requested(self) -> bool:
        return self.at is not None

    def time_for_the_model(self) -> bool:
        return self.at is None or time.monotonic() - self.at < TIME_FOR_THE_CHECKPOINT
