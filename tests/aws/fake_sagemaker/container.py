"""One container's life: its directory, which stands for /opt/ml, its process, its log and its checkpoints.

A test cannot mount /opt/ml, so every hyperparameter and environment value that begins with `/opt/ml` is given
to the container with the directory's own path, which it also finds in SAGEMAKER_BASE_DIR.
"""

import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading

from .errors import JobFailure
from .storage import CREDENTIALS

CHECKPOINT_SYNC_SECONDS = 0.2
SCRIPT_MODE = "script-mode"


class Container:
    def __init__(self, job, storage, settings, images):
        self.job = job
        self.storage = storage
        self.settings = settings
        self.images = images
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fake-sagemaker-"))
        self.metrics = {}
        self.stream = None
        self.process = None
        self.signalled = None
        self._over = False
        self._lock = threading.Lock()
        self._synced = {}

    # Downloading

    def prepare(self):
        for name in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (self.dir / name).mkdir(parents=True)
        request = self.job.request
        channels = request.get("InputDataConfig", [])
        for channel in channels:
            folder = self.dir / "input/data" / channel["ChannelName"]
            self.storage.fetch_channel(channel["DataSource"]["S3DataSource"], folder, request["RoleArn"])
        hyperparameters = {key: self._mounted(value) for key, value in request.get("HyperParameters", {}).items()}
        self._config("hyperparameters", hyperparameters)
        self._config("inputdataconfig", {channel["ChannelName"]: _channel_config(channel) for channel in channels})
        self._config("resourceconfig", _resource_config(request["ResourceConfig"]))
        if checkpoints := request.get("CheckpointConfig"):
            self._checkpoints().mkdir(parents=True, exist_ok=True)
            self.storage.fetch_prefix(_as_folder(checkpoints["S3Uri"]), self._checkpoints())

    def _config(self, name, content):
        (self.dir / f"input/config/{name}.json").write_text(json.dumps(content))

    def _mounted(self, value):
        return re.sub(r'^("?)/opt/ml(?=/|"|$)', rf"\g<1>{self.dir}", value)

    def _checkpoints(self):
        local = self.job.request["CheckpointConfig"].get("LocalPath", "/opt/ml/checkpoints")
        return pathlib.Path(self._mounted(local)) if local.startswith("/opt/ml") else self.dir / local.lstrip("/")

    # Training

    def run(self):
        """Runs the command to its end; the exit status."""
        command = self._command()
        # Before the first line: the test can rely on it as soon as the job trains.
        self.storage.open_log(self.stream)
        with self._lock:
            if self.signalled is not None:
                return -self.signalled
            self.process = subprocess.Popen(
                command,
                cwd=self.dir,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        lines = queue.SimpleQueue()
        threads = [threading.Thread(target=self._read, args=[lines]), threading.Thread(target=self._log, args=[lines])]
        for thread in threads:
            thread.start()
        while True:
            try:
                self.process.wait(CHECKPOINT_SYNC_SECONDS)
                break
            except subprocess.TimeoutExpired:
                self.sync_checkpoints()
        with self._lock:
            self._kill_group(signal.SIGKILL)  # What the command left behind would keep its output open.
            self._over = True
        for thread in threads:
            thread.join()
        self.sync_checkpoints()
        return self.process.returncode

    def _command(self):
        image = self.job.request["AlgorithmSpecification"]["TrainingImage"]
        prefix = max((prefix for prefix in self.images if image.startswith(prefix)), key=len, default=None)
        command = self.images.get(prefix, SCRIPT_MODE if "-training:" in image else None)
        if command is None:
            raise JobFailure(
                f"ClientError: Cannot find repository: {image} Please check if your ECR repository exists and role "
                f"{self.job.request['RoleArn']} has proper pull permissions for SageMaker: "
                "ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer"
            )
        if command == SCRIPT_MODE:
            script = pathlib.Path(__file__).with_name("script_mode.py")
            command = [self.settings.python, str(script), "{dir}"]
        return [part.replace("{dir}", str(self.dir)) for part in command]

    def _environment(self):
        request = self.job.request
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.dir),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "SAGEMAKER_BASE_DIR": str(self.dir),
            "TRAINING_JOB_NAME": self.job.name,
            "TRAINING_JOB_ARN": self.job.arn,
            "AWS_REGION": self.job.region,
        }
        if not request.get("EnableNetworkIsolation"):
            environment |= {name.upper(): value for name, value in CREDENTIALS.items()}
            environment |= {"AWS_ENDPOINT_URL_S3": self.settings.s3_url, "AWS_DEFAULT_REGION": self.job.region}
        return environment | {key: self._mounted(value) for key, value in request.get("Environment", {}).items()}

    def _read(self, lines):
        for line in self.process.stdout:
            line = line.rstrip("\r\n")
            self._measure(line)
            self.job.output(line)
            lines.put(line)
        lines.put(None)

    def _log(self, lines):
        """Copies each line as it comes; those that came meanwhile go together."""
        ended = False
        while not ended:
            batch = [lines.get()]
            while not lines.empty() and len(batch) < 1000:
                batch.append(lines.get())
            ended = batch[-1] is None
            if batch := [line for line in batch if line is not None]:
                self.storage.log(self.stream, batch)

    def _measure(self, line):
        for definition in self.job.request["AlgorithmSpecification"].get("MetricDefinitions", []):
            if found := re.search(definition["Regex"], line):
                try:
                    self.metrics[definition["Name"]] = (float(found.group(1)), self.job.now())
                except (IndexError, ValueError):
                    continue

    def sync_checkpoints(self):
        if checkpoints := self.job.request.get("CheckpointConfig"):
            self.storage.put_folder(self._checkpoints(), checkpoints["S3Uri"], self._synced)

    # The end

    def stop(self, number):
        """Sends a signal to everything that the command started; before the start it prevents it."""
        with self._lock:
            self.signalled = number
            self._kill_group(number)

    def _kill_group(self, number):
        if self.process is not None and not self._over:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                pass

    def failure(self, exit_code):
        """The FailureReason of a command that ended with this status."""
        path = self.dir / "output/failure"
        said = path.read_text(errors="replace")[:1024] if path.is_file() else ""
        exit_code = exit_code if exit_code >= 0 else 128 - exit_code
        return f"AlgorithmError: {said}, exit code: {exit_code}"

    def upload(self):
        """Uploads model and output; where the model is."""
        output = self.job.request["OutputDataConfig"]
        target = f"{output['S3OutputPath'].rstrip('/')}/{self.job.name}/output"
        if output.get("CompressionType") == "NONE":
            model = f"{target}/model/"
            self.storage.put_folder(self.dir / "model", model)
            self.storage.put_folder(self.dir / "output/data", f"{target}/data/")
        else:
            model = f"{target}/model.tar.gz"
            self.storage.put_archive(self.dir / "model", model)
            if any((self.dir / "output/data").iterdir()):
                self.storage.put_archive(self.dir / "output/data", f"{target}/output.tar.gz")
        return model

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def _channel_config(channel):
    config = {
        "TrainingInputMode": channel.get("InputMode", "File"),
        "S3DistributionType": channel["DataSource"]["S3DataSource"].get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if "ContentType" in channel:
        config["ContentType"] = channel["ContentType"]
    return config


def _resource_config(resources):
    """One host, however many the request counts: the others are billed, not run."""
    group = {"instance_group_name": "homogeneousCluster", "instance_type": resources["InstanceType"], "hosts": ["algo-1"]}
    return {
        "current_host": "algo-1",
        "current_instance_type": resources["InstanceType"],
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [group],
        "network_interface_name": "eth0",
    }


def _as_folder(uri):
    return uri.rstrip("/") + "/"
