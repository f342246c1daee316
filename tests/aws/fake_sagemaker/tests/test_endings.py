"""Stops, limits, spot interruptions: how a job ends other than by itself, and goes on."""

from .support import BUCKET, FakeTest, control

WAITS = r"""
import pathlib, signal, sys, time
base = pathlib.Path(sys.argv[1])
def leave(*_):
    (base / "model/weights.txt").write_text("half trained")
    print("leaving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("waiting", flush=True)
while True:
    time.sleep(0.01)
"""
DEAF = r"""
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    print("deaf", flush=True)
    time.sleep(0.01)
"""
# Counts on from its checkpoint; the second life finishes.
RESUMES = r"""
import pathlib, sys, time
base = pathlib.Path(sys.argv[1])
checkpoint = base / "checkpoints/step.txt"
first = int(checkpoint.read_text()) if checkpoint.exists() else 0
print("from step", first, flush=True)
checkpoint.write_text(str(first + 5))
print("saved", flush=True)
while first == 0:
    time.sleep(0.01)
(base / "model/steps.txt").write_text(str(first + 5))
"""
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
    "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/checkpoints/job-1"},
}


class Endings(FakeTest):
    def stop(self):
        self.sagemaker.stop_training_job(TrainingJobName="job-1")

    def said(self, line):
        """Waits for a line of the job to reach the log."""
        self.eventually(lambda: any(line in lines for lines in self.lines().values()))

    def goes_on_saying(self, line):
        def times():
            return sum(lines.count(line) for lines in self.lines().values())

        before = times()
        self.eventually(lambda: times() > before + 20)

    def states(self):
        return [transition["Status"] for transition in self.describe()["SecondaryStatusTransitions"]]

    def test_a_stop_lets_the_command_leave_and_keeps_what_it_left(self):
        self.runs(WAITS)
        self.create()
        self.until("Training")
        self.said("waiting")
        self.stop()
        self.assertEqual(self.describe()["TrainingJobStatus"], "Stopping")
        job = self.until("Stopped")
        self.assertEqual(job["SecondaryStatus"], "Stopped")
        self.assertEqual(self.contents(job["ModelArtifacts"]["S3ModelArtifacts"]), {"weights.txt": "half trained"})
        self.said("leaving")
        self.assertEqual(self.states(), ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"])

    def test_a_command_that_does_not_leave_is_killed_after_two_minutes(self):
        self.runs(DEAF)
        self.create()
        self.until("Training")
        self.said("deaf")
        self.stop()
        control("clock", {"advance_seconds": 119})
        self.goes_on_saying("deaf")
        self.assertEqual(self.describe()["SecondaryStatus"], "Stopping")
        control("clock", {"advance_seconds": 1})
        self.assertEqual(self.until("Stopped")["TrainingJobStatus"], "Stopped")

    def test_a_stop_before_training_leaves_nothing(self):
        self.create()
        self.stop()
        self.assertNotIn("ModelArtifacts", self.until("Stopped"))

    def test_a_job_that_ended_cannot_be_stopped(self):
        self.runs("print('short')")
        self.create()
        self.until("Completed")
        call = self.sagemaker.stop_training_job
        message = self.assertRefused("ValidationException", call, TrainingJobName="job-1")
        self.assertIn("the training job is in status Completed", message)
        message = self.assertRefused("ValidationException", call, TrainingJobName="nobody")
        self.assertEqual(message, "Requested resource not found.")

    def test_the_longest_runtime(self):
        self.runs(WAITS)
        self.create(StoppingCondition={"MaxRuntimeInSeconds": 300})
        self.until("Training")
        self.said("waiting")
        control("clock", {"advance_seconds": 299})
        self.assertEqual(self.describe()["SecondaryStatus"], "Training")
        control("clock", {"advance_seconds": 1})
        job = self.until("MaxRuntimeExceeded")
        self.assertEqual(job["TrainingJobStatus"], "Stopped")
        self.assertIn("ModelArtifacts", job)

    def test_the_longest_wait(self):
        control("jobs", [{"pending_seconds": 10_000}])
        self.create(**SPOT)
        control("clock", {"advance_seconds": 7200})
        self.assertEqual(self.until("MaxWaitTimeExceeded")["TrainingJobStatus"], "Stopped")

    def test_an_interruption_resumes_from_the_checkpoints(self):
        control("jobs", [{"interrupt": [{"on_line": "saved"}]}])
        self.runs(RESUMES)
        self.create(**SPOT)
        self.until("Training")
        self.until("Interrupted")
        self.eventually(lambda: self.keys("checkpoints/job-1/") == ["checkpoints/job-1/step.txt"])
        job = self.until("Completed")
        self.assertEqual(self.contents(job["ModelArtifacts"]["S3ModelArtifacts"]), {"steps.txt": "10"})
        lives = self.lines()
        self.assertEqual(sorted(lives.values()), [["from step 0", "saved"], ["from step 5", "saved"]])
        self.assertEqual(self.states().count("Training"), 2)
        self.assertLess(job["BillableTimeInSeconds"], job["TrainingTimeInSeconds"])

    def test_an_interruption_by_the_clock(self):
        control("jobs", [{"training_seconds": 600, "interrupt": [{"after_seconds": 100}, {"after_seconds": 200}]}])
        self.runs("print('working')")
        self.create(**SPOT)
        job = self.until("Completed")
        self.assertEqual(self.states().count("Interrupted"), 2)
        # Three times downloading, 100 + 200 + 600 of training, one upload.
        self.assertEqual(job["TrainingTimeInSeconds"], 3 * 20 + 900 + 10)
        self.assertEqual(job["BillableTimeInSeconds"], 291)
