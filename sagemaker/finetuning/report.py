"""What a job prints: log lines for people, and lines of JSON for whoever watches it.

`{"metric":"train_loss","value":2.31,"step":120,"time":"…"}` is a metric; `{"event":"progress", …}` is an event.
They are the engine's (`engine/src/job/report.rs`), so one reader reads both, and `metric_definitions.json` lists
the expressions by which SageMaker reads them.
"""

import json
import math
import sys
import time


def log(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def metric(name: str, value: float, step: int) -> None:
    _line(metric=name, value=value if math.isfinite(value) else None, step=step)


def event(name: str, **fields) -> None:
    _line(event=name, **fields)


def phase(name: str) -> None:
    event("phase", phase=name)


def _line(**fields) -> None:
    log(json.dumps({**fields, "time": f"{time.time():.3f}"}, ensure_ascii=False, separators=(",", ":")))
