"""One training job: its states, when they change, and what it does meanwhile.

    Starting ─► (Pending) ─► Downloading ─► Training ─► Uploading ─► Completed
       ▲                                       │
       └──────────── Interrupted ◄─────────────┤ spot
                                               └─► Stopping ─► Uploading ─► Stopped, MaxRuntimeExceeded, …
    any ─► Failed, or Restarting ─► Starting where the request has a RetryStrategy

Called with the world's lock held, except `output`, which a container's thread calls.
"""

import math
import signal

from .container import Container
from .errors import INTERNAL_PREFIX, invalid
from .work import Phase, Work

GRACE_SECONDS = 120
INTERRUPTED_SECONDS = 60
SPOT_PRICE = 0.3
BILLED = {"Downloading", "Training", "Uploading", "Stopping"}
MESSAGES = {
    "Starting": "Starting the training job",
    "Pending": "Waiting for capacity",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "Interrupted": "Training job interrupted: the spot instance was reclaimed",
    "Restarting": "Restarting the training job after an internal error",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}


class Job:
    def __init__(self, world, request, arn, region, plan):
        self.world = world
        self.request = request
        self.name = request["TrainingJobName"]
        self.arn = arn
        self.region = region
        self.plan = plan
        self.created = self.modified = self.now()
        self.status = "InProgress"
        self.transitions = []
        self.failure_reason = None
        self.artifacts = None
        self.started = self.finished = None
        self.container = None
        self._containers = []
        self._works = []
        self.metrics = {}
        self.stopping_for = None
        self._had_trained = self._killed = False
        self.retries = request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
        self._streams = set()
        self._trained = 0.0
        self._interrupt_now = False
        self.phase = None
        self._enter("Starting", self.created, plan.starting_seconds)

    def now(self):
        return self.world.clock.now()

    @property
    def secondary(self):
        return self.transitions[-1]["Status"]

    @property
    def ended(self):
        return self.phase is None

    @property
    def spot(self):
        return self.request.get("EnableManagedSpotTraining", False)

    # Time

    def step(self, now):
        """Takes the earliest change that is due; whether there was one."""
        if self.ended:
            return False
        if self._interrupt_now:
            self._interrupt(self.phase.start + self.phase.worked(now))
            return True
        for moment, action in self._limits():
            if self.phase.reaches(moment, now):
                action(moment)
                return True
        end = self.phase.end(now)
        if end is None or end > now:
            return False
        self._leave(end)
        return True

    def next_change(self, now):
        """When something changes next by the clock alone; None while real work is awaited."""
        if self.ended or self.phase.working:
            return None
        moments = [self.phase.end(now), *(moment for moment, _ in self._limits())]
        return min((moment for moment in moments if moment > now), default=now)

    def _limits(self):
        """The moments that cut this phase short, the earliest first."""
        phase, limits = self.phase, []
        if phase.secondary == "Stopping":
            return [(phase.start + GRACE_SECONDS, self._kill)] if phase.working and not self._killed else []
        if waiting := self.plan.failure(phase.secondary):
            after, reason = waiting
            limits.append((phase.start + after, lambda moment: self._fail(moment, reason, planned=True)))
        if self.stopping_for:
            return limits
        if self.spot:
            wait = self.created + self.request["StoppingCondition"]["MaxWaitTimeInSeconds"]
            limits.append((wait, lambda moment: self._stop(moment, "MaxWaitTimeExceeded")))
        if phase.secondary == "Training":
            longest = self.request["StoppingCondition"].get("MaxRuntimeInSeconds", 86400)
            limits.append((phase.start + longest - self._trained, lambda moment: self._stop(moment, "MaxRuntimeExceeded")))
            after = self.plan.interruption_after()
            if after is not None:
                limits.append((phase.start + after, self._interrupt))
        return sorted(limits, key=lambda limit: limit[0])

    # States

    def _enter(self, secondary, moment, planned=None, action=None, work=None):
        if self.transitions:
            self.transitions[-1]["EndTime"] = moment
        self.transitions.append({"Status": secondary, "StartTime": moment, "StatusMessage": MESSAGES[secondary]})
        self.modified = moment
        if planned is None:
            self.phase = None
        else:
            if action:
                work = Work(self.world, action)
                self._works.append(work)
            self.phase = Phase(secondary, moment, self.now(), planned, work)

    def _leave(self, moment):
        phase = self.phase
        if self.stopping_for and phase.secondary in ("Stopping", "Uploading"):
            return self._leave_stopping(moment)
        if phase.secondary in ("Interrupted", "Restarting"):
            return self._enter("Starting", moment, self.plan.starting_seconds)
        if phase.work is not None and phase.work.failure:
            return self._fail(moment, phase.work.failure)
        match phase.secondary:
            case "Starting" if self.plan.pending_seconds:
                self._enter("Pending", moment, self.plan.pending_seconds)
            case "Starting" | "Pending":
                self._download(moment)
            case "Downloading":
                self._train(moment)
            case "Training" if phase.work.result != 0:
                self._fail(moment, self.container.failure(phase.work.result))
            case "Training":
                self._enter("Uploading", moment, self.plan.uploading_seconds, self.container.upload)
            case "Uploading":
                self.artifacts = phase.work.result
                self._finish(moment, "Completed", "Completed")

    def _download(self, moment):
        self.started = self.started or moment
        self.container = Container(self, self.world.storage, self.world.settings, dict(self.world.images))
        self._containers.append(self.container)
        self._enter("Downloading", moment, self.plan.downloading_seconds, self.container.prepare)

    def _train(self, moment):
        epoch = int(moment)
        while epoch in self._streams:
            epoch += 1
        self._streams.add(epoch)
        self.container.stream = f"{self.name}/algo-1-{epoch}"
        self._enter("Training", moment, self.plan.training_seconds, self.container.run)

    def _interrupt(self, moment):
        self.plan.interrupt.pop(0)
        self._interrupt_now = False
        self._trained += moment - self.phase.start
        self.container.stop(signal.SIGKILL)
        self._enter("Interrupted", moment, INTERRUPTED_SECONDS, work=self.phase.work)

    def output(self, line):
        """A line of the container."""
        with self.world.lock:
            phase = self.phase
            if phase and phase.secondary == "Training" and self.plan.interrupts_at(line):
                self._interrupt_now = True
                self.world.tick()

    # Stopping

    def stop(self):
        if self.ended or self.stopping_for:
            raise invalid(f"The request was rejected because the training job is in status {self.status}.")
        self._stop(self.now(), "Stopped")

    def _stop(self, moment, why):
        self.stopping_for = why
        self.status = "Stopping"
        phase = self.phase
        if phase.secondary == "Uploading":
            self.modified = moment
            return
        self._had_trained = phase.secondary == "Training"
        if self._had_trained:
            self.container.stop(signal.SIGTERM)
        self._enter("Stopping", moment, self.plan.stopping_seconds, work=phase.work)

    def _kill(self, _moment):
        self._killed = True
        self.container.stop(signal.SIGKILL)

    def _leave_stopping(self, moment):
        if self.phase.secondary == "Stopping" and self._had_trained:
            self._enter("Uploading", moment, self.plan.uploading_seconds, self.container.upload)
            return
        if self.phase.secondary == "Uploading":
            if self.phase.work.failure:
                return self._fail(moment, self.phase.work.failure)
            self.artifacts = self.phase.work.result
        self._finish(moment, "Stopped", self.stopping_for)

    # The end

    def _fail(self, moment, reason, planned=False):
        if planned:
            self.plan.failed()
        if self.container:
            self.container.stop(signal.SIGKILL)
        if reason.startswith(INTERNAL_PREFIX) and self.retries > 0 and not self.stopping_for:
            self.retries -= 1
            self._enter("Restarting", moment, INTERRUPTED_SECONDS, work=self.phase.work)
            return
        self.failure_reason = reason[:1024]
        self._finish(moment, "Failed", "Failed")

    def _finish(self, moment, status, secondary):
        self._enter(secondary, moment)
        self.transitions[-1]["EndTime"] = moment
        self.status = status
        self.finished = moment
        if self.container:
            self.metrics = self.container.metrics

    def billed_seconds(self):
        """How long it trained, and how much of that is paid."""
        lasted = math.ceil(sum(t["EndTime"] - t["StartTime"] for t in self.transitions if t["Status"] in BILLED))
        return lasted, math.ceil(lasted * SPOT_PRICE) if self.spot else lasted

    def close(self):
        """Ends what still runs."""
        self.phase = None
        for container in self._containers:
            container.stop(signal.SIGKILL)

    def remove(self):
        """Waits for the end and removes what lies about; without the lock, which work needs to end."""
        for work in self._works:
            work.join()
        for container in self._containers:
            container.remove()
