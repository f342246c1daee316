"""A fake and a moto, started once for all the tests, and boto3's clients of both."""

import atexit
import functools
import io
import json
import pathlib
import socket
import subprocess
import sys
import tarfile
import time
import unittest
import urllib.error
import urllib.request

import boto3
from botocore.config import Config

AWS = pathlib.Path(__file__).parents[2]
ROLE = "arn:aws:iam::123456789012:role/SageMakerRole"
BUCKET = "training"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tests:1"


def _start(command, **more):
    process = subprocess.Popen([sys.executable, *command], **more)
    atexit.register(_stop, process)
    return process


def _stop(process):
    process.terminate()
    process.communicate(timeout=10)


@functools.cache
def moto_url():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = "from moto.server import main; import sys; main(sys.argv[1:])"
    _start(["-c", server, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("moto does not start")


def start_fake(*options):
    """A fake of its own: the process, its pipes, and its address."""
    command = ["-m", "fake_sagemaker", "--port", "0", "--with-stdin", "--s3-url", moto_url(), *options]
    process = _start(command, cwd=AWS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


@functools.cache
def fake_url():
    return start_fake()[1]


@functools.cache
def client(service, attempts=1, read_timeout=20, url=None):
    url = url or (moto_url() if service in ("s3", "logs") else fake_url())
    config = Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=read_timeout)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=url, config=config, **keys)


def control(route, body=None, method="POST"):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{fake_url()}/_fake/{route}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def refused(route, body):
    """The words in which a control request is refused."""
    try:
        control(route, body)
    except urllib.error.HTTPError as error:
        return json.loads(error.read())["error"]
    raise AssertionError(f"{body} was accepted")


class FakeTest(unittest.TestCase):
    """A fresh world for each test, with a bucket and a container that runs Python code."""

    def setUp(self):
        control("reset")
        urllib.request.urlopen(urllib.request.Request(f"{moto_url()}/moto-api/reset", method="POST"), timeout=10)
        self.s3 = client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.sagemaker = client("sagemaker")

    def put(self, key, content):
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)

    def keys(self, prefix):
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    def contents(self, uri):
        """What an archive in S3 holds: its files by name."""
        body = self.s3.get_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            return {member.name: tar.extractfile(member).read().decode() for member in tar if member.isfile()}

    def runs(self, code):
        """The container runs Python code, with the directory of /opt/ml as its argument."""
        control("images", {"123456789012.": [sys.executable, "-c", code, "{dir}"]})

    def request(self, name="job-1", **changes):
        return {
            "TrainingJobName": name,
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            **changes,
        }

    def create(self, *arguments, **changes):
        return self.sagemaker.create_training_job(**self.request(*arguments, **changes))

    def describe(self, name="job-1"):
        return self.sagemaker.describe_training_job(TrainingJobName=name)

    def until(self, status, name="job-1"):
        reached = control("clock", {"until": {"job": name, "status": status}})["reached"]
        job = self.describe(name)
        self.assertTrue(reached, f"{job['SecondaryStatus']}: {job.get('FailureReason')}")
        return job

    def eventually(self, holds):
        """Waits for what another process does in its own time."""
        deadline = time.monotonic() + 20
        while not holds():
            self.assertLess(time.monotonic(), deadline, "it does not come")
            time.sleep(0.01)

    def lines(self, name="job-1"):
        """The lines of each of a job's log streams."""
        logs, group = client("logs"), "/aws/sagemaker/TrainingJobs"
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return {}
        return {
            stream["logStreamName"]: [
                event["message"]
                for event in logs.get_log_events(
                    logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
                )["events"]
            ]
            for stream in streams
        }

    def assertRefused(self, code, call, **arguments):
        with self.assertRaises(self.sagemaker.exceptions.ClientError) as caught:
            call(**arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception.response["Error"]["Message"]
