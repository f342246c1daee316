"""S3 and CloudWatch Logs, at the server given by an option."""

import json
import pathlib
import tarfile
import tempfile
import time
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .errors import JobFailure

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
CREDENTIALS = {"aws_access_key_id": "fake", "aws_secret_access_key": "fake"}


class Storage:
    def __init__(self, s3_url, logs_url):
        config = Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=30, s3={"addressing_style": "path"})
        session = boto3.Session(region_name="us-east-1", **CREDENTIALS)
        self.s3 = session.client("s3", endpoint_url=s3_url, config=config)
        self.logs = session.client("logs", endpoint_url=logs_url, config=config)

    def fetch_channel(self, source, folder, role):
        """Lays out what one channel's S3DataSource names."""
        folder.mkdir(parents=True, exist_ok=True)
        uri = source["S3Uri"]
        if source["S3DataType"] == "ManifestFile":
            self._fetch_manifest(uri, folder)
        elif self.fetch_prefix(uri, folder) == 0:
            bucket, _ = split(uri)
            raise JobFailure(
                f'ClientError: Data download failed: No S3 objects found under S3 URL "{uri}" given in input data '
                f"source. Please ensure that the bucket exists in the selected region, that objects exist under that "
                f'S3 prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
            )

    def fetch_prefix(self, uri, folder):
        """Fetches every object below a prefix; returns how many there were."""
        bucket, prefix = split(uri)
        count = 0
        try:
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    if not entry["Key"].endswith("/"):
                        self._fetch(bucket, entry["Key"], folder / relative(entry["Key"], prefix))
                        count += 1
        except (ClientError, BotoCoreError) as error:
            raise JobFailure(f"ClientError: Data download failed: {error} ({uri})") from error
        return count

    def _fetch_manifest(self, uri, folder):
        bucket, key = split(uri)
        try:
            first, *files = json.loads(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            for name in files:
                source_bucket, source_key = split(first["prefix"] + name)
                self._fetch(source_bucket, source_key, folder / name)
        except (ClientError, BotoCoreError, ValueError, KeyError, TypeError) as error:
            raise JobFailure(f"ClientError: Data download failed: manifest {uri}: {error}") from error

    def _fetch(self, bucket, key, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        self.s3.download_file(bucket, key, str(target))

    def put_folder(self, folder, uri, done=None):
        """Uploads what a folder holds and `done`, of path to version, does not know already."""
        bucket, prefix = split(uri)
        done = {} if done is None else done
        for path in files_below(folder):
            try:
                stat = path.stat()
                version = (stat.st_mtime_ns, stat.st_size)
                if done.get(path) != version:
                    key = f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}".lstrip("/")
                    self._put(bucket, key, path)
                    done[path] = version
            except FileNotFoundError:
                continue  # The training renamed or removed it meanwhile.

    def put_archive(self, folder, uri):
        bucket, key = split(uri)
        with tempfile.TemporaryDirectory() as scratch:
            archive = pathlib.Path(scratch, "archive.tar.gz")
            with tarfile.open(archive, "w:gz") as tar:
                for path in sorted(folder.iterdir()):
                    tar.add(path, arcname=path.name)
            self._put(bucket, key, archive)

    def _put(self, bucket, key, path):
        try:
            self.s3.upload_file(str(path), bucket, key)
        except FileNotFoundError:
            raise
        except Exception as error:  # boto3's transfer wraps what it meets in types of its own.
            raise JobFailure(f"ClientError: Artifact upload failed: {error}") from error

    def open_log(self, stream):
        for create, name in (
            (self.logs.create_log_group, {"logGroupName": LOG_GROUP}),
            (self.logs.create_log_stream, {"logGroupName": LOG_GROUP, "logStreamName": stream}),
        ):
            try:
                create(**name)
            except self.logs.exceptions.ResourceAlreadyExistsException:
                pass

    def log(self, stream, lines):
        # CloudWatch is not on the clock that the test moves, and refuses what lies in its future.
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line or " "} for line in lines]
        self.logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=stream, logEvents=events)


def split(uri):
    parsed = urlparse(uri)
    return parsed.netloc, parsed.path.lstrip("/")


def relative(key, prefix):
    """Where an object lies below the folder that its prefix names."""
    if key == prefix:
        return key.rsplit("/", 1)[-1]
    if key.startswith(prefix.rstrip("/") + "/"):
        return key[len(prefix.rstrip("/")) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def files_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())
