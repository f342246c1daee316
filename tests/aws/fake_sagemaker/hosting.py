"""Models, endpoint configurations and endpoints. An endpoint is created and deleted in its own time.

A test says how an endpoint behaves, before it exists or after, by name:

    {"name": "chat", "creating_seconds": 120, "fail": "The primary container … did not pass the ping health check",
     "shape": "tgi" | "lmi" | "llama2" | "flan", "text": "what it answers", "seed": 7, "stream_error": "ModelStreamError"}
"""

import dataclasses

from .errors import invalid
from .paging import page

DELETING_SECONDS = 30
SHAPES = ("tgi", "lmi", "llama2", "flan")


@dataclasses.dataclass
class Behaviour:
    name: str
    creating_seconds: float = 120
    fail: str | None = None
    shape: str | None = None
    text: str = "Good morning! How can I help you?"
    seed: int = 0
    stream_error: str | None = None

    def __post_init__(self):
        if self.shape not in (None, *SHAPES):
            raise ValueError(f"shape is one of {', '.join(SHAPES)}")


class Hosting:
    def __init__(self, world):
        self._world = world
        self._models = {}
        self._configs = {}
        self._endpoints = {}
        self.behaviours = {}

    def operations(self):
        return {
            "CreateModel": self.create_model,
            "DescribeModel": lambda request, region: self._shown(self._models, "model", "ModelName", request, region),
            "DeleteModel": lambda request, region: self._delete(self._models, "model", "ModelName", request, region),
            "CreateEndpointConfig": self.create_config,
            "DescribeEndpointConfig": lambda request, region: self._shown(
                self._configs, "endpoint configuration", "EndpointConfigName", request, region
            ),
            "DeleteEndpointConfig": lambda request, region: self._delete(
                self._configs, "endpoint configuration", "EndpointConfigName", request, region
            ),
            "CreateEndpoint": self.create_endpoint,
            "DescribeEndpoint": lambda request, region: self._shown(self._endpoints, "endpoint", "EndpointName", request, region),
            "ListEndpoints": self.list_endpoints,
            "DeleteEndpoint": self.delete_endpoint,
        }

    def create_model(self, request, region):
        if ("PrimaryContainer" in request) == ("Containers" in request):
            raise invalid("You must specify either PrimaryContainer or Containers, and not both.")
        if "ExecutionRoleArn" not in request:
            raise invalid("ExecutionRoleArn is required for the model.")
        arn = self._put(self._models, "model", "ModelName", request, region)
        return {"ModelArn": arn}

    def create_config(self, request, region):
        for variant in request["ProductionVariants"]:
            if name := variant.get("ModelName"):
                self._find(self._models, "model", name, region)
            if "InstanceType" not in variant and "ServerlessConfig" not in variant:
                raise invalid("InstanceType is required for the production variant.")
        arn = self._put(self._configs, "endpoint configuration", "EndpointConfigName", request, region, "endpoint-config")
        return {"EndpointConfigArn": arn}

    def create_endpoint(self, request, region):
        config = self._find(self._configs, "endpoint configuration", request["EndpointConfigName"], region)
        if request["EndpointName"] in self._endpoints:
            self._refuse_duplicate("endpoint", self._endpoints[request["EndpointName"]]["EndpointArn"])
        variants = config["ProductionVariants"]
        for variant in variants:
            if "InstanceType" in variant:
                kind, count = variant["InstanceType"], variant.get("InitialInstanceCount", 1)
                self._world.quotas.take(kind, "endpoint", self._instances(kind), count)
        arn = self._put(self._endpoints, "endpoint", "EndpointName", request, region)
        endpoint = self._endpoints[request["EndpointName"]]
        endpoint |= {"EndpointStatus": "Creating", "since": self._world.clock.now(), "variants": variants}
        return {"EndpointArn": arn}

    def _instances(self, kind):
        return sum(
            variant.get("InitialInstanceCount", 1)
            for endpoint in self._endpoints.values()
            for variant in endpoint["variants"]
            if variant.get("InstanceType") == kind
        )

    def delete_endpoint(self, request, region):
        endpoint = self._find(self._endpoints, "endpoint", request["EndpointName"], region)
        if endpoint["EndpointStatus"] in ("Creating", "Deleting"):
            raise invalid(f"Cannot update in-progress endpoint \"{endpoint['EndpointArn']}\".")
        now = self._world.clock.now()
        endpoint |= {"EndpointStatus": "Deleting", "since": now, "LastModifiedTime": now}
        return {}

    def list_endpoints(self, request, _region):
        endpoints = [
            endpoint
            for name, endpoint in self._endpoints.items()
            if request.get("NameContains", "") in name
            and request.get("StatusEquals", endpoint["EndpointStatus"]) == endpoint["EndpointStatus"]
        ]
        endpoints, following = page(endpoints, request)
        fields = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        return {"Endpoints": [{name: endpoint[name] for name in fields} for endpoint in endpoints], **following}

    def step(self, now):
        for name, endpoint in list(self._endpoints.items()):
            behaviour = self.behaviour(name)
            if endpoint["EndpointStatus"] == "Creating" and endpoint["since"] + behaviour.creating_seconds <= now:
                self._created(endpoint, behaviour)
            elif endpoint["EndpointStatus"] == "Deleting" and endpoint["since"] + DELETING_SECONDS <= now:
                self._world.tags.forget(endpoint["EndpointArn"])
                del self._endpoints[name]

    def _created(self, endpoint, behaviour):
        endpoint["LastModifiedTime"] = endpoint["since"] + behaviour.creating_seconds
        if behaviour.fail:
            endpoint |= {"EndpointStatus": "Failed", "FailureReason": behaviour.fail}
            return
        endpoint["EndpointStatus"] = "InService"
        endpoint["ProductionVariants"] = [
            {"VariantName": variant["VariantName"], "CurrentInstanceCount": variant.get("InitialInstanceCount", 1)}
            for variant in endpoint["variants"]
        ]

    # What an invocation needs to know

    def behaviour(self, name):
        return self.behaviours.get(name, Behaviour(name))

    def in_service(self, name):
        return name in self._endpoints and self._endpoints[name]["EndpointStatus"] == "InService"

    def variant(self, name):
        return self._endpoints[name]["variants"][0]["VariantName"]

    def image(self, name):
        model = self._models.get(self._endpoints[name]["variants"][0].get("ModelName"), {})
        return model.get("PrimaryContainer", {}).get("Image", "")

    # Things with a name

    def _put(self, things, kind, key, request, region, arn_kind=None):
        name = request[key]
        arn = self._world.arn(region, arn_kind or kind, name)
        if name in things:
            self._refuse_duplicate(kind, arn)
        now = self._world.clock.now()
        thing = {field: value for field, value in request.items() if field not in ("Tags", "DeploymentConfig")}
        things[name] = thing | {key.replace("Name", "Arn"): arn, "CreationTime": now}
        if kind == "endpoint":
            things[name]["LastModifiedTime"] = now
        self._world.tags.put(arn, request.get("Tags", []))
        return arn

    def _refuse_duplicate(self, kind, arn):
        raise invalid(f'Cannot create already existing {kind} "{arn}".')

    def _find(self, things, kind, name, region):
        if name not in things:
            arn_kind = "endpoint-config" if kind == "endpoint configuration" else kind
            raise invalid(f'Could not find {kind} "{self._world.arn(region, arn_kind, name)}".')
        return things[name]

    def _shown(self, things, kind, key, request, region):
        thing = self._find(things, kind, request[key], region)
        return {field: value for field, value in thing.items() if field not in ("since", "variants")}

    def _delete(self, things, kind, key, request, region):
        thing = self._find(things, kind, request[key], region)
        self._world.tags.forget(thing[key.replace("Name", "Arn")])
        del things[request[key]]
        return {}
