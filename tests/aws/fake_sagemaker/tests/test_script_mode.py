"""The framework images' script mode: the script in sourcedir.tar.gz with its arguments and variables."""

import io
import json
import tarfile

from .support import BUCKET, FakeTest

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-training:2.9.0-transformers5.3.0-gpu-py312"
SCRIPT = r"""
import json, os, sys
json.dump({"arguments": sys.argv[1:], "variables": {k: v for k, v in os.environ.items() if k.startswith("SM_")},
           "rows": open(os.path.join(os.environ["SM_CHANNEL_TRAINING"], "rows.jsonl")).read(),
           "credentials": "AWS_ACCESS_KEY_ID" in os.environ},
          open(os.path.join(os.environ["SM_MODEL_DIR"], "seen.json"), "w"))
"""


class ScriptMode(FakeTest):
    def setUp(self):
        super().setUp()
        self.put("data/rows.jsonl", "rows")

    def train(self, script, submit, **changes):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            entry = tarfile.TarInfo("train.py")
            entry.size = len(script)
            tar.addfile(entry, io.BytesIO(script.encode()))
        self.put("code/sourcedir.tar.gz", archive.getvalue())
        channels = {"training": "data/", "code": "code/sourcedir.tar.gz"}
        self.create(
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            InputDataConfig=[
                {
                    "ChannelName": name,
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{key}"}},
                }
                for name, key in channels.items()
            ],
            HyperParameters={
                "sagemaker_program": '"train.py"',
                "sagemaker_submit_directory": submit,
                "epochs": '"3"',
                "learning_rate": "0.001",
                "checkpoint_dir": "/opt/ml/checkpoints",
            },
            **changes,
        )

    def test_the_script_of_a_channel_without_the_network(self):
        self.train(SCRIPT, '"/opt/ml/input/data/code/sourcedir.tar.gz"', EnableNetworkIsolation=True)
        artifacts = self.until("Completed")["ModelArtifacts"]["S3ModelArtifacts"]
        seen = json.loads(self.contents(artifacts)["seen.json"])
        variables = seen["variables"]
        base = variables["SM_MODEL_DIR"].removesuffix("/model")
        arguments = ["--checkpoint_dir", f"{base}/checkpoints", "--epochs", "3", "--learning_rate", "0.001"]
        self.assertEqual(seen["arguments"], arguments)
        self.assertEqual(seen["rows"], "rows")
        self.assertFalse(seen["credentials"])
        self.assertEqual(variables["SM_CHANNELS"], '["code", "training"]')
        self.assertEqual(variables["SM_OUTPUT_DATA_DIR"], f"{base}/output/data")
        self.assertEqual(variables["SM_HP_EPOCHS"], "3")
        self.assertEqual(json.loads(variables["SM_HPS"])["learning_rate"], 0.001)
        self.assertEqual((variables["SM_HOSTS"], variables["SM_CURRENT_HOST"]), ('["algo-1"]', "algo-1"))
        self.assertEqual(variables["SM_NUM_GPUS"], "0")

    def test_the_script_of_a_place_in_s3(self):
        self.train(SCRIPT, f"s3://{BUCKET}/code/sourcedir.tar.gz")
        artifacts = self.until("Completed")["ModelArtifacts"]["S3ModelArtifacts"]
        self.assertTrue(json.loads(self.contents(artifacts)["seen.json"])["credentials"])

    def test_a_script_that_fails(self):
        self.train("raise ValueError('row 7 has no answer')", '"/opt/ml/input/data/code/sourcedir.tar.gz"')
        reason = self.until("Failed")["FailureReason"]
        self.assertTrue(reason.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 1\n"), reason)
        self.assertIn("ValueError: row 7 has no answer", reason)
        self.assertTrue(reason.endswith(", exit code: 1"), reason)
