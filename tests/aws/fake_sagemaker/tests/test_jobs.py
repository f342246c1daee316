"""A training job from its request to its artifacts."""

from .support import BUCKET, IMAGE, FakeTest, control

TRAINS = r"""
import json, pathlib, sys
base = pathlib.Path(sys.argv[1])
settings = json.loads((base / "input/config/hyperparameters.json").read_text())
channels = json.loads((base / "input/config/inputdataconfig.json").read_text())
rows = (base / "input/data/training/rows.jsonl").read_text().splitlines()
print("channels", sorted(channels), "rows", len(rows), "epochs", settings["epochs"], flush=True)
print("loss=2.5\nloss=1.25", file=sys.stderr, flush=True)
(base / "model/weights.txt").write_text("trained")
(base / "output/data/report.txt").write_text("fine")
"""
TRAINING = [
    {
        "ChannelName": "training",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/"}},
    }
]
ALGORITHM = {
    "TrainingImage": IMAGE,
    "TrainingInputMode": "File",
    "MetricDefinitions": [{"Name": "train:loss", "Regex": r"loss=([0-9\.]+)"}],
}


class Jobs(FakeTest):
    def setUp(self):
        super().setUp()
        self.put("data/rows.jsonl", '{"a": 1}\n{"a": 2}\n')

    def train(self, **changes):
        self.runs(TRAINS)
        changes = {"InputDataConfig": TRAINING, "AlgorithmSpecification": ALGORITHM, **changes}
        return self.create(HyperParameters={"epochs": "3"}, **changes)

    def test_a_job_runs_its_command_and_keeps_what_it_made(self):
        arn = self.train()["TrainingJobArn"]
        self.assertEqual(arn, "arn:aws:sagemaker:us-east-1:123456789012:training-job/job-1")
        job = self.until("Completed")
        self.assertEqual(job["ModelArtifacts"]["S3ModelArtifacts"], f"s3://{BUCKET}/out/job-1/output/model.tar.gz")
        self.assertEqual(self.contents(job["ModelArtifacts"]["S3ModelArtifacts"]), {"weights.txt": "trained"})
        self.assertEqual(self.contents(f"s3://{BUCKET}/out/job-1/output/output.tar.gz"), {"report.txt": "fine"})
        [(stream, lines)] = self.lines().items()
        self.assertRegex(stream, r"^job-1/algo-1-\d{10}$")
        self.assertEqual(sorted(lines), ["channels ['training'] rows 2 epochs 3", "loss=1.25", "loss=2.5"])
        [metric] = job["FinalMetricDataList"]
        self.assertEqual((metric["MetricName"], metric["Value"]), ("train:loss", 1.25))

    def test_states_change_by_the_clock_only(self):
        self.train()
        self.assertEqual(self.describe()["SecondaryStatus"], "Starting")
        control("clock", {"advance_seconds": 29})
        self.assertEqual(self.describe()["SecondaryStatus"], "Starting")
        control("clock", {"advance_seconds": 1})
        self.assertEqual(self.describe()["SecondaryStatus"], "Downloading")
        job = self.until("Completed")
        states = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
        self.assertEqual(states, ["Starting", "Downloading", "Training", "Uploading", "Completed"])
        for before, after in zip(job["SecondaryStatusTransitions"], job["SecondaryStatusTransitions"][1:]):
            self.assertEqual(before["EndTime"], after["StartTime"])
        # 20 of downloading, 60 of training, 10 of uploading
        self.assertEqual((job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]), (90, 90))
        self.assertEqual((job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds(), 90)

    def test_one_jump_over_everything_lets_the_work_be_done(self):
        self.train()
        control("clock", {"advance_seconds": 100_000})
        job = self.until("Completed")
        self.assertEqual(job["TrainingTimeInSeconds"], 90)

    def test_an_automatic_clock_needs_no_push(self):
        self.train()
        control("clock", {"auto": 100})
        self.eventually(lambda: self.describe()["TrainingJobStatus"] == "Completed")

    def test_pending_where_capacity_is_awaited(self):
        control("jobs", [{"name_prefix": "job-", "pending_seconds": 600}])
        self.train()
        control("clock", {"advance_seconds": 40})
        self.assertEqual(self.describe()["SecondaryStatus"], "Pending")
        self.until("Completed")

    def test_an_uncompressed_model_is_a_folder(self):
        self.train(OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out/", "CompressionType": "NONE"})
        job = self.until("Completed")
        self.assertEqual(job["ModelArtifacts"]["S3ModelArtifacts"], f"s3://{BUCKET}/out/job-1/output/model/")
        self.assertEqual(self.keys("out/job-1/output/model/"), ["out/job-1/output/model/weights.txt"])

    def test_a_command_that_fails_says_why(self):
        self.runs("import sys; open(sys.argv[1] + '/output/failure', 'w').write('out of memory'); sys.exit(3)")
        self.create()
        job = self.until("Failed")
        self.assertEqual(job["FailureReason"], "AlgorithmError: out of memory, exit code: 3")
        self.assertNotIn("ModelArtifacts", job)

    def test_a_long_failure_is_cut(self):
        self.runs("import sys; open(sys.argv[1] + '/output/failure', 'w').write('x' * 5000); sys.exit(1)")
        self.create()
        self.assertEqual(len(self.until("Failed")["FailureReason"]), 1024)

    def test_data_that_is_missing_fails_the_job(self):
        self.s3.delete_object(Bucket=BUCKET, Key="data/rows.jsonl")
        self.train()
        self.assertRegex(self.until("Failed")["FailureReason"], "^ClientError: Data download failed: No S3 objects found")

    def test_an_image_that_is_missing_fails_the_job(self):
        self.create()
        self.assertRegex(self.until("Failed")["FailureReason"], "^ClientError: Cannot find repository: .*tests:1")

    def test_failures_of_the_taxonomy(self):
        control(
            "jobs",
            [
                {"name_prefix": "job-1", "fail": "CapacityError"},
                {"name_prefix": "job-2", "fail": "InternalServerError", "during": "Training"},
                {"name_prefix": "job-3", "fail": "ClientError: no", "during": "Downloading"},
            ],
        )
        self.runs("print('hello')")
        reasons = []
        for name in ("job-1", "job-2", "job-3"):
            self.create(name)
            reasons.append(self.until("Failed", name)["FailureReason"])
        self.assertEqual(
            reasons,
            [
                "CapacityError: Unable to provision requested ML compute capacity. "
                "Please retry using a different ML instance type.",
                "InternalServerError: We encountered an internal error. Please try again.",
                "ClientError: no",
            ],
        )

    def test_an_internal_error_is_retried_where_that_is_asked_for(self):
        control("jobs", [{"fail": "InternalServerError", "during": "Training", "times": 1}])
        self.train(RetryStrategy={"MaximumRetryAttempts": 2})
        states = [transition["Status"] for transition in self.until("Completed")["SecondaryStatusTransitions"]]
        self.assertEqual(states.count("Starting"), 2)
        self.assertIn("Restarting", states)

    def test_no_more_often_than_that(self):
        control("jobs", [{"fail": "InternalServerError", "during": "Training"}])
        self.train(RetryStrategy={"MaximumRetryAttempts": 2})
        states = [transition["Status"] for transition in self.until("Failed")["SecondaryStatusTransitions"]]
        self.assertEqual(states.count("Training"), 3)

    def test_the_same_name_again(self):
        self.train()
        message = self.assertRefused("ResourceInUse", self.sagemaker.create_training_job, **self.request())
        self.assertIn("training-job/job-1", message)

    def test_lists_a_page_at_a_time(self):
        for number in range(5):
            self.create(f"job-{number}")
            control("clock", {"advance_seconds": 1})
        first = self.sagemaker.list_training_jobs(MaxResults=2, SortOrder="Descending", NameContains="job")
        names = [job["TrainingJobName"] for job in first["TrainingJobSummaries"]]
        self.assertEqual(names, ["job-4", "job-3"])
        rest = self.sagemaker.list_training_jobs(MaxResults=5, SortOrder="Descending", NextToken=first["NextToken"])
        self.assertEqual([job["TrainingJobName"] for job in rest["TrainingJobSummaries"]], ["job-2", "job-1", "job-0"])
        self.assertNotIn("NextToken", rest)

    def test_tags_and_deletion(self):
        arn = self.train(Tags=[{"Key": "run", "Value": "7"}])["TrainingJobArn"]
        self.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "a"}])
        tags = self.sagemaker.list_tags(ResourceArn=arn)["Tags"]
        self.assertEqual(tags, [{"Key": "run", "Value": "7"}, {"Key": "team", "Value": "a"}])
        self.assertRefused("ResourceInUse", self.sagemaker.delete_training_job, TrainingJobName="job-1")
        self.until("Completed")
        self.sagemaker.delete_training_job(TrainingJobName="job-1")
        self.assertRefused("ValidationException", self.sagemaker.describe_training_job, TrainingJobName="job-1")

    def test_an_update(self):
        self.train()
        self.sagemaker.update_training_job(TrainingJobName="job-1", ResourceConfig={"KeepAlivePeriodInSeconds": 60})
        resources = self.describe()["ResourceConfig"]
        self.assertEqual((resources["KeepAlivePeriodInSeconds"], resources["InstanceType"]), (60, "ml.m5.large"))

    def test_a_channel_by_manifest(self):
        self.put("manifest", f'[{{"prefix": "s3://{BUCKET}/data/"}}, "rows.jsonl"]')
        source = {"S3DataType": "ManifestFile", "S3Uri": f"s3://{BUCKET}/manifest"}
        self.train(InputDataConfig=[{"ChannelName": "training", "DataSource": {"S3DataSource": source}}])
        self.until("Completed")

    def test_what_was_asked_is_described(self):
        self.train(Environment={"accept_eula": "true"}, EnableNetworkIsolation=True)
        job = self.describe()
        self.assertEqual(job["Environment"], {"accept_eula": "true"})
        self.assertEqual(job["AlgorithmSpecification"], ALGORITHM)
        self.assertTrue(job["EnableNetworkIsolation"])
        [record] = [record for record in control("requests", method="GET") if record["operation"] == "CreateTrainingJob"]
        self.assertEqual(record["body"]["InputDataConfig"], TRAINING)
        self.assertTrue(record["accepted"])
