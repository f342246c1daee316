"""Why a job failed, in words that become its failure reason."""

# SageMaker shows this much of output/failure.
SHOWN = 1024


class JobError(Exception):
    """What happened, and what to do about it."""

    def __init__(self, what: str, next_step: str):
        super().__init__(what)
        self.what = what
        self.next_step = next_step

    def failure_text(self) -> str:
        """Both, at most 1,024 characters; what does not fit is cut from what happened."""
        next_step = self.next_step[: SHOWN // 2]
        room = SHOWN - len(next_step) - 1
        what = self.what if len(self.what) < room else self.what[: room - 1] + "…"
        if not what.endswith((".", "…")):
            what += "."
        return f"{what}\n{next_step}"


class Stopped(BaseException):
    """SIGTERM came before there was anything to keep. No `Exception`, so that nothing in between catches it."""
