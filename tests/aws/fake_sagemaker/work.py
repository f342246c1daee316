"""What really happens during a phase of a job: a thread that tells the world when it is done.

Real work takes no time on a clock that stands still, and its own time on one that runs. A phase lasts for what
the plan says, or for as long as the clock ran between the beginning and the end of its work.
"""

import dataclasses
import threading
import traceback

from .errors import JobFailure, failure_reason


class Work:
    def __init__(self, world, action):
        self._world = world
        self._action = action
        self.ended = None
        self.result = None
        self.failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self.result = self._action()
        except JobFailure as failure:
            self.failure = str(failure)
        except Exception:  # The test reads of it in the job; the trace says what is wrong here.
            traceback.print_exc()
            self.failure = failure_reason("InternalServerError")
        with self._world.lock:
            self.ended = self._world.clock.now()
            self._world.tick()

    def join(self):
        self._thread.join(10)


@dataclasses.dataclass
class Phase:
    secondary: str
    start: float
    begun: float  # What the clock showed then, which is later than `start` when it jumped.
    planned: float
    work: Work | None = None

    @property
    def working(self):
        return self.work is not None and self.work.ended is None

    def worked(self, now):
        """For how long its work has really gone on, by the clock."""
        if self.work is None:
            return 0
        return max(0, (now if self.work.ended is None else self.work.ended) - self.begun)

    def end(self, now):
        """When it ends; None as long as that depends on work that is not done."""
        return None if self.working else self.start + max(self.planned, self.worked(now))

    def reaches(self, moment, now):
        """Whether the phase was still going on at a moment that is past: when the clock jumps over both the
        moment and an end that the work has not reported yet, the work gets its chance first."""
        if moment > now:
            return False
        offset, worked = moment - self.start, self.worked(now)
        return offset < max(self.planned, worked) or (self.working and offset <= worked)
