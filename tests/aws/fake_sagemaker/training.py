"""Operations on training jobs."""

from .errors import AwsError, invalid, not_found
from .job import Job
from .paging import page

SORTED_BY = {"Name": lambda job: job.name, "CreationTime": lambda job: job.created, "Status": lambda job: job.status}
SHOWN_AS_ASKED = (
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "StoppingCondition",
    "CheckpointConfig",
    "DebugHookConfig",
    "ExperimentConfig",
    "TensorBoardOutputConfig",
    "ProfilerConfig",
    "Environment",
    "RetryStrategy",
    "RemoteDebugConfig",
    "InfraCheckConfig",
)


class Training:
    def __init__(self, world):
        self._world = world
        self._jobs = {}
        self._deleted = []

    def operations(self):
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
            "UpdateTrainingJob": self.update,
            "DeleteTrainingJob": self.delete,
        }

    def all(self):
        return list(self._jobs.values())

    def find(self, name):
        if name not in self._jobs:
            raise not_found()
        return self._jobs[name]

    def create(self, request, region):
        name = request["TrainingJobName"]
        arn = self._world.arn(region, "training-job", name)
        if name in self._jobs:
            raise AwsError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with this "
                f"name already exists ({arn})",
            )
        _check(request)
        self._check_quota(request)
        self._world.tags.put(arn, request.get("Tags", []))
        self._jobs[name] = Job(self._world, request, arn, region, self._world.plan_for(name))
        return {"TrainingJobArn": arn}

    def _check_quota(self, request):
        resources = request["ResourceConfig"]
        spot = request.get("EnableManagedSpotTraining", False)
        same = [
            job.request["ResourceConfig"]["InstanceCount"]
            for job in self.all()
            if not job.ended
            and job.spot == spot
            and job.request["ResourceConfig"]["InstanceType"] == resources["InstanceType"]
        ]
        usage = "spot training job" if spot else "training job"
        self._world.quotas.take(resources["InstanceType"], usage, sum(same), resources["InstanceCount"])

    def describe(self, request, _region):
        job = self.find(request["TrainingJobName"])
        described = {name: job.request[name] for name in SHOWN_AS_ASKED if name in job.request}
        described |= {
            "TrainingJobName": job.name,
            "TrainingJobArn": job.arn,
            "TrainingJobStatus": job.status,
            "SecondaryStatus": job.secondary,
            "SecondaryStatusTransitions": job.transitions,
            "CreationTime": job.created,
            "LastModifiedTime": job.modified,
            "EnableNetworkIsolation": job.request.get("EnableNetworkIsolation", False),
            "EnableInterContainerTrafficEncryption": job.request.get("EnableInterContainerTrafficEncryption", False),
            "EnableManagedSpotTraining": job.spot,
        }
        if job.started is not None:
            described["TrainingStartTime"] = job.started
        if job.failure_reason:
            described["FailureReason"] = job.failure_reason
        if job.artifacts:
            described["ModelArtifacts"] = {"S3ModelArtifacts": job.artifacts}
        if job.ended:
            described |= _ending(job)
        return described

    def list(self, request, _region):
        jobs = [job for job in self.all() if _wanted(job, request)]
        jobs.sort(key=SORTED_BY[request.get("SortBy", "CreationTime")], reverse=request.get("SortOrder") == "Descending")
        jobs, following = page(jobs, request)
        return {"TrainingJobSummaries": [_summary(job) for job in jobs], **following}

    def stop(self, request, _region):
        self.find(request["TrainingJobName"]).stop()
        return {}

    def update(self, request, _region):
        job = self.find(request["TrainingJobName"])
        if resources := request.get("ResourceConfig"):
            job.request["ResourceConfig"] |= resources
        for name in ("ProfilerConfig", "RemoteDebugConfig"):
            if name in request:
                job.request[name] = request[name]
        return {"TrainingJobArn": job.arn}

    def delete(self, request, _region):
        job = self.find(request["TrainingJobName"])
        if not job.ended:
            raise AwsError("ResourceInUse", f"The training job {job.name} is in status {job.status} and cannot be deleted.")
        self._world.tags.forget(job.arn)
        self._deleted.append(self._jobs.pop(job.name))
        return {}

    def close(self):
        for job in self.all():
            job.close()

    def remove(self):
        for job in [*self.all(), *self._deleted]:
            job.remove()


def _check(request):
    """What the service asks for beyond its model."""
    for name in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if name not in request:
            raise invalid(f"{name} is required for the training job.")
    algorithm = request["AlgorithmSpecification"]
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise invalid("You must specify either TrainingImage or AlgorithmName, and not both, in AlgorithmSpecification.")
    if "AlgorithmName" in algorithm:
        raise invalid(f"Cannot find algorithm: {algorithm['AlgorithmName']}")
    for name in ("InstanceType", "InstanceCount"):
        if name not in request["ResourceConfig"]:
            raise invalid(f"{name} is required in ResourceConfig.")
    _check_channels(request.get("InputDataConfig", []), algorithm["TrainingInputMode"])
    limits = request["StoppingCondition"]
    longest, wait = limits.get("MaxRuntimeInSeconds", 86400), limits.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining") and (wait is None or wait < longest):
        raise invalid(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
        )
    if wait is not None and not request.get("EnableManagedSpotTraining"):
        raise invalid("Invalid MaxWaitTimeInSeconds. It is only allowed when EnableManagedSpotTraining is set to true")


def _check_channels(channels, mode):
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) < len(names):
        raise invalid("Channel names must be unique within a training job.")
    for number, channel in enumerate(channels, start=1):
        source = channel["DataSource"].get("S3DataSource")
        if source is None or source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise invalid(f"inputDataConfig.{number}: this fake fetches S3DataSource of S3Prefix and ManifestFile only.")
        if channel.get("InputMode", mode) == "Pipe":
            raise invalid(f"inputDataConfig.{number}: this fake has no input mode Pipe.")


def _ending(job):
    trained, billed = job.billed_seconds()
    ending = {}
    if job.started is not None:
        ending["TrainingEndTime"] = job.finished
    if trained:
        ending |= {"TrainingTimeInSeconds": trained, "BillableTimeInSeconds": billed}
    if job.metrics:
        ending["FinalMetricDataList"] = [
            {"MetricName": name, "Value": value, "Timestamp": moment} for name, (value, moment) in job.metrics.items()
        ]
    return ending


def _wanted(job, request):
    return (
        request.get("NameContains", "") in job.name
        and request.get("StatusEquals", job.status) == job.status
        and request.get("CreationTimeAfter", job.created) <= job.created <= request.get("CreationTimeBefore", job.created)
        and request.get("LastModifiedTimeAfter", job.modified)
        <= job.modified
        <= request.get("LastModifiedTimeBefore", job.modified)
    )


def _summary(job):
    summary = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
    }
    return summary | ({"TrainingEndTime": job.finished} if job.ended and job.started is not None else {})
