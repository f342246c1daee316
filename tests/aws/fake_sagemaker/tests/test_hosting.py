"""An endpoint from its model to its deletion, and what it answers."""

import contextlib
import json

from botocore.exceptions import EventStreamError, HTTPClientError
from urllib3.exceptions import IncompleteRead, ProtocolError

from .support import ROLE, FakeTest, client, control

TGI = "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.0"
TEXT = "Grüße aus Köln, said the model."


class Hosting(FakeTest):
    def setUp(self):
        super().setUp()
        self.runtime = client("sagemaker-runtime")

    def deploy(self, instance_type="ml.m5.large", **behaviour):
        control("endpoints", [{"name": "chat", "text": TEXT, **behaviour}])
        container = {"Image": TGI, "ModelDataUrl": "s3://training/out/model.tar.gz"}
        self.sagemaker.create_model(ModelName="model", ExecutionRoleArn=ROLE, PrimaryContainer=container)
        variant = {"VariantName": "main", "ModelName": "model", "InstanceType": instance_type, "InitialInstanceCount": 1}
        self.sagemaker.create_endpoint_config(EndpointConfigName="config", ProductionVariants=[variant])
        tags = [{"Key": "expires", "Value": "noon"}]
        return self.sagemaker.create_endpoint(EndpointName="chat", EndpointConfigName="config", Tags=tags)

    def status(self):
        return self.sagemaker.describe_endpoint(EndpointName="chat")["EndpointStatus"]

    def invoke(self, body, **more):
        return json.loads(self.runtime.invoke_endpoint(EndpointName="chat", Body=json.dumps(body), **more)["Body"].read())

    def stream(self):
        body = json.dumps({"inputs": "Hello", "stream": True})
        answer = self.runtime.invoke_endpoint_with_response_stream(EndpointName="chat", Body=body)
        with contextlib.closing(answer["Body"]) as events:
            return [event["PayloadPart"]["Bytes"] for event in events]

    def test_from_creation_to_deletion(self):
        arn = self.deploy()["EndpointArn"]
        self.assertEqual(self.sagemaker.list_tags(ResourceArn=arn)["Tags"], [{"Key": "expires", "Value": "noon"}])
        self.assertEqual(self.status(), "Creating")
        self.assertRefused("ValidationError", self.runtime.invoke_endpoint, EndpointName="chat", Body=b"{}")
        control("clock", {"advance_seconds": 120})
        self.assertEqual(self.status(), "InService")
        self.assertEqual([entry["EndpointName"] for entry in self.sagemaker.list_endpoints()["Endpoints"]], ["chat"])
        self.assertIn("already existing endpoint", self.assertRefused("ValidationException", self.again))
        self.sagemaker.delete_endpoint(EndpointName="chat")
        self.assertEqual(self.status(), "Deleting")
        control("clock", {"advance_seconds": 30})
        describe = self.sagemaker.describe_endpoint
        self.assertIn("Could not find endpoint", self.assertRefused("ValidationException", describe, EndpointName="chat"))
        self.sagemaker.describe_endpoint_config(EndpointConfigName="config")
        self.sagemaker.delete_endpoint_config(EndpointConfigName="config")
        self.sagemaker.describe_model(ModelName="model")
        self.sagemaker.delete_model(ModelName="model")
        self.assertRefused("ValidationException", self.sagemaker.describe_model, ModelName="model")

    def again(self):
        self.sagemaker.create_endpoint(EndpointName="chat", EndpointConfigName="config")

    def test_one_that_fails(self):
        self.deploy(fail="The primary container for production variant main did not pass the ping health check.")
        control("clock", {"advance_seconds": 120})
        endpoint = self.sagemaker.describe_endpoint(EndpointName="chat")
        self.assertEqual(endpoint["EndpointStatus"], "Failed")
        self.assertIn("ping health check", endpoint["FailureReason"])

    def test_its_quota(self):
        message = self.assertRefused("ResourceLimitExceeded", self.deploy, instance_type="ml.g5.2xlarge")
        self.assertIn("'ml.g5.2xlarge for endpoint usage' is 0 Instances", message)

    def test_every_shape_of_an_answer(self):
        self.deploy()
        control("clock", {"advance_seconds": 120})
        asked, accepted = {"inputs": "Hello"}, {"CustomAttributes": "accept_eula=true"}
        self.assertEqual(self.invoke(asked), [{"generated_text": TEXT}])
        for shape, body, more, answer in (
            ("lmi", asked, {}, {"generated_text": TEXT}),
            ("llama2", asked, accepted, [{"generation": TEXT}]),
            ("flan", {"text_inputs": "Hello"}, {}, {"generated_texts": [TEXT]}),
        ):
            control("endpoints", [{"name": "chat", "text": TEXT, "shape": shape}])
            self.assertEqual(self.invoke(body, **more), answer)
        control("endpoints", [{"name": "chat", "shape": "llama2"}])
        message = self.assertRefused("ModelError", self.invoke, body=asked)
        self.assertIn("accept_eula=true", message)

    def test_a_stream_is_cut_anywhere_and_always_alike(self):
        self.deploy(shape="lmi", seed=7)
        control("clock", {"advance_seconds": 120})
        parts = self.stream()
        self.assertEqual(parts, self.stream())
        lines = [json.loads(line) for line in b"".join(parts).splitlines()]
        self.assertEqual("".join(line["token"]["text"] for line in lines), TEXT)
        self.assertEqual(lines[-1]["generated_text"], TEXT)
        self.assertTrue(any(not part.endswith(b"\n") for part in parts[:-1]))

    def test_server_sent_events(self):
        self.deploy(shape="tgi")
        control("clock", {"advance_seconds": 120})
        events = b"".join(self.stream()).decode().split("\n\n")[:-1]
        self.assertTrue(all(event.startswith("data:") for event in events))
        self.assertEqual("".join(json.loads(event[5:])["token"]["text"] for event in events), TEXT)

    def test_a_stream_that_breaks_off(self):
        self.deploy(stream_error="ModelStreamError")
        control("clock", {"advance_seconds": 120})
        with self.assertRaises(EventStreamError):
            self.stream()

    def test_a_stream_that_is_cut(self):
        self.deploy()
        control("clock", {"advance_seconds": 120})
        control("faults", [{"op": "InvokeEndpointWithResponseStream", "drop_after_accept": True}])
        with self.assertRaises((HTTPClientError, IncompleteRead, ProtocolError)):
            self.stream()

    def test_faults_of_the_runtime(self):
        self.deploy()
        control("clock", {"advance_seconds": 120})
        names = ("ModelError", "ServiceUnavailable", "ModelNotReadyException", "ThrottlingException")
        control("faults", [{"op": "InvokeEndpoint", "nth": n, "error": name} for n, name in enumerate(names, 1)])
        for name in names:
            self.assertRefused(name, self.invoke, body={"inputs": "Hello"})
        self.invoke({"inputs": "Hello"})
