"""What is refused, in which words, and what goes wrong on demand."""

import json
import urllib.error
import urllib.request

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from .support import FakeTest, client, control, fake_url, refused

SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sagemaker/aws4_request, SignedHeaders=host, Signature=0"


def raw(target, body, authorization=SIGNED):
    """A request that botocore would not send: the answer's status and content."""
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1", "Authorization": authorization}
    request = urllib.request.Request(fake_url(), data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


class Validation(FakeTest):
    def refusal(self, *name, **changes):
        create = self.sagemaker.create_training_job
        return self.assertRefused("ValidationException", create, **self.request(*name, **changes))

    def test_an_instance_type_that_does_not_exist(self):
        resources = {"InstanceType": "ml.g5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
        message = self.refusal(ResourceConfig=resources)
        words = (
            "1 validation error detected: Value 'ml.g5.large' at 'resourceConfig.instanceType' failed to satisfy "
            "constraint: Member must satisfy enum value set: ["
        )
        self.assertTrue(message.startswith(words), message)
        self.assertIn("ml.g5.xlarge", message)

    def test_a_name_that_is_none(self):
        self.assertEqual(
            self.refusal("no_underscores"),
            "1 validation error detected: Value 'no_underscores' at 'trainingJobName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        )
        message = self.refusal("x" * 64)
        self.assertTrue(message.startswith("2 validation errors detected: "), message)
        self.assertIn("Member must have length less than or equal to 63", message)

    def test_members_deep_inside(self):
        algorithm = self.request()["AlgorithmSpecification"]
        message = self.refusal(AlgorithmSpecification={**algorithm, "MetricDefinitions": [{"Name": "a", "Regex": "x" * 501}]})
        self.assertIn("at 'algorithmSpecification.metricDefinitions.1.member.regex'", message)
        message = self.refusal(HyperParameters={"epochs": "1" * 2501})
        self.assertIn("at 'hyperParameters' failed to satisfy constraint: Map value must satisfy constraint: [", message)

    def test_what_botocore_would_not_send(self):
        for changes, words in (
            ({"Surprise": 1}, "Value '1' at 'surprise' failed to satisfy constraint: Member is not known"),
            ({"RoleArn": 7}, "Value '7' at 'roleArn' failed to satisfy constraint: Member must be of type string"),
            ({"RoleArn": None}, "Value null at 'roleArn' failed to satisfy constraint: Member must not be null"),
        ):
            body = json.dumps({**self.request(), **changes}).encode()
            status, answer = raw("SageMaker.CreateTrainingJob", body)
            self.assertEqual((status, answer["__type"]), (400, "ValidationException"))
            self.assertEqual(answer["Message"], f"1 validation error detected: {words}")

    def test_requests_that_are_none(self):
        self.assertEqual(raw("SageMaker.CreateTrainingJob", b"{")[1]["__type"], "SerializationException")
        self.assertEqual(raw("SageMaker.Dance", b"{}")[1]["__type"], "UnknownOperationException")
        self.assertEqual(raw("SageMaker.CreateTrainingJob", b"{}", "")[0], 403)
        other = SIGNED.replace("/sagemaker/", "/s3/")
        self.assertEqual(raw("SageMaker.ListTrainingJobs", b"{}", other)[1]["__type"], "InvalidSignatureException")

    def test_what_the_service_asks_beyond_its_model(self):
        spot = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 3600}}
        self.assertIn("Invalid MaxWaitTimeInSeconds", self.refusal(**spot))
        request = self.request()
        del request["ResourceConfig"]
        self.assertRefused("ValidationException", self.sagemaker.create_training_job, **request)

    def test_a_scene_that_is_none(self):
        self.assertIn("there is no quota", refused("quota", {"ml.g5.large": 1}))
        self.assertIn("a fault has an op", refused("faults", [{"op": "CreateTrainingJob"}]))
        self.assertIn("no operation 'Dance'", refused("faults", [{"op": "Dance", "hang": True}]))
        self.assertIn("forward", refused("clock", {"advance_seconds": -1}))
        self.assertIn("dance", refused("jobs", [{"dance": True}]))
        self.assertIn("there is no POST /_fake/dance", refused("dance", {}))


class Limits(FakeTest):
    GPU = {"InstanceType": "ml.g5.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30}

    def refusal(self, *name, **changes):
        create = self.sagemaker.create_training_job
        request = self.request(*name, **{"ResourceConfig": self.GPU, **changes})
        return self.assertRefused("ResourceLimitExceeded", create, **request)

    def test_no_gpu_until_there_is_a_quota(self):
        words = (
            "The account-level service limit 'ml.g5.2xlarge for training job usage' is {} Instances, with current "
            "utilization of {} Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an "
            "increase for this quota."
        )
        self.assertTrue(self.refusal().startswith(words.format(0, 0)))
        control("quota", {"ml.g5.2xlarge": 1})
        self.create("job-1", ResourceConfig=self.GPU)
        self.assertTrue(self.refusal("job-2").startswith(words.format(1, 1)))
        self.sagemaker.stop_training_job(TrainingJobName="job-1")
        self.until("Stopped")
        self.create("job-2", ResourceConfig=self.GPU)

    def test_spot_has_a_quota_of_its_own(self):
        control("quota", {"ml.g5.2xlarge": 1})
        limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}
        spot = {"EnableManagedSpotTraining": True, "StoppingCondition": limits}
        message = self.refusal(**spot)
        self.assertIn("'ml.g5.2xlarge for spot training job usage' is 0", message)
        control("quota", {"ml.g5.2xlarge for spot training job usage": 1})
        self.create("job-1", ResourceConfig=self.GPU, **spot)
        self.create("job-2", ResourceConfig=self.GPU)
        self.assertIn("current utilization of 1 Instances", self.refusal("job-3", **spot))

    def test_service_quotas_tell_the_same(self):
        control("quota", {"ml.g5.2xlarge": 3, "ml.g5.xlarge for endpoint usage": 2})
        quotas = client("service-quotas")

        def values(operation):
            pages = quotas.get_paginator(operation).paginate(ServiceCode="sagemaker")
            return {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}

        applied, defaults = values("list_service_quotas"), values("list_aws_default_service_quotas")
        name = "ml.g5.2xlarge for training job usage"
        self.assertEqual((applied[name]["Value"], defaults[name]["Value"]), (3, 0))
        self.assertEqual(applied["ml.g5.xlarge for endpoint usage"]["Value"], 2)
        one = quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode=applied[name]["QuotaCode"])
        self.assertEqual(one["Quota"], applied[name])


class Faults(FakeTest):
    def test_the_nth_request_meets_the_error(self):
        control("faults", [{"op": "CreateTrainingJob", "nth": 2, "error": "ThrottlingException"}])
        self.create("job-1")
        create = self.sagemaker.create_training_job
        message = self.assertRefused("ThrottlingException", create, **self.request("job-2"))
        self.assertEqual(message, "Rate exceeded")
        self.create("job-2")

    def test_an_sdk_tries_again(self):
        control("faults", [{"op": "ListTrainingJobs", "times": 2, "error": "ThrottlingException"}])
        client("sagemaker", attempts=3).list_training_jobs()
        asked = [record for record in control("requests", method="GET") if record["operation"] == "ListTrainingJobs"]
        self.assertEqual([record["accepted"] for record in asked], [False, False, True])

    def test_access_denied_in_the_words_of_iam(self):
        control("faults", [{"op": "CreateTrainingJob", "error": "AccessDeniedException"}])
        message = self.assertRefused("AccessDeniedException", self.create)
        self.assertIn("is not authorized to perform: iam:PassRole on resource: arn:aws:iam::", message)

    def test_a_limit_in_the_words_of_a_quota(self):
        control("faults", [{"op": "CreateTrainingJob", "error": "ResourceLimitExceeded"}])
        message = self.assertRefused("ResourceLimitExceeded", self.create)
        self.assertIn("The account-level service limit 'ml.g5.2xlarge for training job usage' is 0 Instances", message)

    def test_a_job_is_made_though_its_answer_is_lost(self):
        control("faults", [{"op": "CreateTrainingJob", "drop_after_accept": True}])
        with self.assertRaises(ConnectionClosedError):
            self.create(Tags=[{"Key": "run", "Value": "7"}])
        self.assertRefused("ResourceInUse", self.create)
        tags = self.sagemaker.list_tags(ResourceArn=self.describe()["TrainingJobArn"])["Tags"]
        self.assertEqual(tags, [{"Key": "run", "Value": "7"}])

    def test_garbage_and_an_answer_that_never_comes(self):
        control(
            "faults",
            [
                {"op": "ListTrainingJobs", "status": 500, "body": "<html>garbage"},
                {"op": "ListTrainingJobs", "nth": 2, "hang": True},
            ],
        )
        with self.assertRaises(self.sagemaker.exceptions.ClientError) as caught:
            self.sagemaker.list_training_jobs()
        self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 500)
        with self.assertRaises(ReadTimeoutError):
            client("sagemaker", read_timeout=1).list_training_jobs()
        self.sagemaker.list_training_jobs()
