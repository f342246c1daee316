"""What a test wants to happen to a job, apart from what its request says.

    {"name_prefix": "tune-", "pending_seconds": 600, "training_seconds": 60,
     "fail": "CapacityError" | "ClientError: no such image", "during": "Starting", "after": 5, "times": 1,
     "interrupt": [{"after_seconds": 30}, {"on_line": "step 2"}]}

`interrupt` holds one entry per interruption, in order, each counted within its attempt.
"""

import dataclasses
import re

from .errors import failure_reason

PHASES = ("Starting", "Pending", "Downloading", "Training", "Uploading")


@dataclasses.dataclass
class Plan:
    name_prefix: str = ""
    starting_seconds: float = 30
    pending_seconds: float = 0
    downloading_seconds: float = 20
    training_seconds: float = 60
    uploading_seconds: float = 10
    stopping_seconds: float = 5
    fail: str | None = None
    during: str = "Starting"
    after: float = 5
    times: int | None = None
    interrupt: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        if self.during not in PHASES:
            raise ValueError(f"during is one of {', '.join(PHASES)}")
        for entry in self.interrupt:
            if set(entry) not in ({"after_seconds"}, {"on_line"}):
                raise ValueError("an interruption has after_seconds or on_line")
        if self.fail is not None:
            self.fail = failure_reason(self.fail)

    def for_job(self):
        """A copy that one job uses up."""
        return dataclasses.replace(self, interrupt=list(self.interrupt))

    def failure(self, secondary):
        """The failure that waits in this phase: after how many seconds, and its reason."""
        waits = self.fail is not None and self.during == secondary and (self.times is None or self.times > 0)
        return (self.after, self.fail) if waits else None

    def failed(self):
        if self.times is not None:
            self.times -= 1

    def interruption_after(self):
        return self.interrupt[0].get("after_seconds") if self.interrupt else None

    def interrupts_at(self, line):
        return bool(self.interrupt) and "on_line" in self.interrupt[0] and re.search(self.interrupt[0]["on_line"], line)
