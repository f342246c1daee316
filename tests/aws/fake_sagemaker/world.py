"""Everything that exists: one lock, one clock, one ticker."""

import dataclasses
import pathlib
import threading
import time

from . import ACCOUNT
from .clock import Clock
from .faults import Faults
from .hosting import Hosting
from .hub import Hub
from .plan import Plan
from .pricing import Pricing
from .quotas import Quotas
from .storage import Storage
from .tags import Tags
from .training import Training

TICK_SECONDS = 0.02


@dataclasses.dataclass
class Settings:
    s3_url: str
    logs_url: str
    python: str
    hub: pathlib.Path | None = None


class World:
    def __init__(self, settings):
        self.settings = settings
        self.storage = Storage(settings.s3_url, settings.logs_url)
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.faults = Faults()
        self._closed = threading.Event()
        self.training = None
        self.reset()
        threading.Thread(target=self._run, daemon=True).start()

    def reset(self):
        """Forgets everything, as if just started."""
        before = self.training
        with self.lock:
            if before:
                before.close()
            self.faults.clear()
            self.clock = Clock()
            self.images = {}
            self.plans = []
            self.requests = []
            self.tags = Tags()
            self.quotas = Quotas()
            self.training = Training(self)
            self.hosting = Hosting(self)
            self.operations = {
                "SageMaker": {
                    **self.training.operations(),
                    **self.hosting.operations(),
                    **self.tags.operations(),
                    **Hub(self).operations(),
                },
                "ServiceQuotasV20190624": self.quotas.operations(),
                "AWSPriceListService": Pricing().operations(),
            }
        if before:
            before.remove()

    def arn(self, region, kind, name):
        return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{kind}/{name}"

    def plan_for(self, name):
        """The latest plan whose prefix fits."""
        fitting = [plan for plan in self.plans if name.startswith(plan.name_prefix)]
        return (fitting[-1] if fitting else Plan()).for_job()

    def tick(self):
        """Lets everything happen that is due."""
        with self.lock:
            now = self.clock.now()
            while any([job.step(now) for job in self.training.all()]):
                pass
            self.hosting.step(now)
            self.changed.notify_all()

    def advance(self, seconds):
        with self.lock:
            self.clock.advance(seconds)
            self.tick()

    def run_until(self, name, status, timeout):
        """Moves the clock to one change of a job after the other, waiting for its real work, until it has the
        status, primary or secondary; whether it got there."""
        deadline = time.monotonic() + timeout
        with self.lock:
            job = self.training.find(name)
            while status not in (job.status, job.secondary):
                now = self.clock.now()
                moment = job.next_change(now)
                if job.ended or time.monotonic() > deadline:
                    return False
                if moment is None:
                    self.changed.wait(0.1)
                else:
                    self.advance(moment - now)
            return True

    def _run(self):
        while not self._closed.wait(TICK_SECONDS):
            if self.clock.speed > 0:
                self.tick()

    def close(self):
        self._closed.set()
        self.reset()
