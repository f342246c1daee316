"""Which checkpoints are whole.

The trainer writes `checkpoint-120/` file by file; `manifest.json` is written last and names every file with its
length and SHA-256. A directory whose manifest is missing or does not hold was being written, or uploaded, when the
machine was taken away; it is passed over, and removed before training goes on.
"""

import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .errors import JobError

MANIFEST = "manifest.json"
# The newest may be torn.
KEEP = 2


@dataclass
class Progress:
    """Where a run stands, besides what the trainer keeps for itself."""

    step: int = 0
    # Nothing is left to train: what remains is writing the model.
    done: bool = False
    # Mean over about the last fifty steps.
    train_loss: float = 0.0
    eval_loss: float | None = None
    best_eval_loss: float | None = None
    best_step: int = 0
    evaluations_without_improvement: int = 0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Fingerprint:
    """What a run is: a checkpoint only continues the very same one."""

    settings: str
    data: str
    base_model: str

    @classmethod
    def of(cls, settings: dict, data: list[dict], base_model: str) -> "Fingerprint":
        def sha256(value) -> str:
            return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

        return cls(sha256(settings), sha256(data), sha256(base_model))


@dataclass(frozen=True)
class Checkpoint:
    directory: Path
    progress: Progress


def seal(directory: Path, fingerprint: Fingerprint, progress: Progress) -> None:
    """Makes a written directory a whole checkpoint."""
    files = {str(path.relative_to(directory)): _digest(path) for path in _files(directory)}
    manifest = {"fingerprint": asdict(fingerprint), "progress": asdict(progress), "files": files}
    unfinished = directory / f"{MANIFEST}.partial"
    with unfinished.open("w") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(directory / MANIFEST)


def newest(root: Path, fingerprint: Fingerprint) -> Checkpoint | None:
    """The newest whole checkpoint, if there is one; those of another run are refused."""
    for _, directory in reversed(_list(root)):
        manifest = _whole(directory)
        if not manifest:
            continue
        for field in fields(Fingerprint):
            if manifest["fingerprint"].get(field.name) != getattr(fingerprint, field.name):
                raise JobError(
                    f"the checkpoints belong to a run with other {field.name.replace('_', ' ')}",
                    "Start a new job with a checkpoint folder of its own, or remove the checkpoints.",
                )
        return Checkpoint(directory, Progress(**manifest["progress"]))
    return None


def at_step(root: Path, step: int) -> Path | None:
    """The checkpoint of a step, if it is there and whole."""
    directory = root / f"checkpoint-{step}"
    return directory if _whole(directory) else None


def sweep(root: Path, keep: set[int]) -> None:
    """Removes the checkpoints of other steps; their manifests first, so that none is ever half there."""
    for step, directory in _list(root):
        if step not in keep:
            (directory / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(directory)


def steps(root: Path) -> list[int]:
    return [step for step, _ in _list(root)]


def _list(root: Path) -> list[tuple[int, Path]]:
    """Checkpoint directories by step, oldest first."""
    paths = root.iterdir() if root.is_dir() else ()
    found = [(re.fullmatch(r"checkpoint-([0-9]+)", path.name), path) for path in paths]
    return sorted((int(name[1]), path) for name, path in found if name and path.is_dir())


def _whole(directory: Path) -> dict | None:
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        holds = all(
            (directory / name).stat().st_size == digest["bytes"] and _digest(directory / name) == digest
            for name, digest in manifest["files"].items()
        )
        return manifest if holds and manifest["files"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and not path.name.startswith(MANIFEST))


def _digest(path: Path) -> dict:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            sha256.update(piece)
    return {"bytes": path.stat().st_size, "sha256": sha256.hexdigest()}
