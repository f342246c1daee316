"""The public hub: each file in hub/ is one model's content, with `{region}` where a region stands."""

import json
import pathlib

from .errors import AwsError
from .paging import page

HUB = "SageMakerPublicHub"
OWN = pathlib.Path(__file__).with_name("hub")
SUMMARY = (
    "HubContentName",
    "HubContentArn",
    "HubContentVersion",
    "HubContentType",
    "DocumentSchemaVersion",
    "HubContentDisplayName",
    "HubContentDescription",
    "HubContentSearchKeywords",
    "HubContentStatus",
    "CreationTime",
)


class Hub:
    def __init__(self, world):
        self._world = world

    def operations(self):
        return {"DescribeHubContent": self.describe, "ListHubContents": self.list}

    def describe(self, request, region):
        for content in self._contents(request, region):
            wanted = request.get("HubContentVersion", content["HubContentVersion"])
            if content["HubContentName"] == request["HubContentName"] and content["HubContentVersion"] == wanted:
                return content
        raise AwsError(
            "ResourceNotFound",
            f"Hub content with name {request['HubContentName']} and type {request['HubContentType']} does not exist "
            f"in hub {request['HubName']}.",
        )

    def list(self, request, region):
        found = [
            {name: content[name] for name in SUMMARY}
            for content in self._contents(request, region)
            if request.get("NameContains", "") in content["HubContentName"]
        ]
        found.sort(key=lambda content: content["HubContentName"], reverse=request.get("SortOrder") == "Descending")
        found, following = page(found, request)
        return {"HubContentSummaries": found, **following}

    def _contents(self, request, region):
        if request["HubName"].rsplit("/", 1)[-1] != HUB:
            raise AwsError("ResourceNotFound", f"Hub {request['HubName']} does not exist.")
        if request["HubContentType"] != "Model":
            return
        for folder in filter(None, (OWN, self._world.settings.hub)):
            for path in sorted(folder.glob("*.json")):
                yield _content(json.loads(path.read_text().replace("{region}", region)), path.stem, region)


def _content(file, name, region):
    hub_arn = f"arn:aws:sagemaker:{region}:aws:hub/{HUB}"
    version = file["HubContentVersion"]
    return {
        "HubContentName": name,
        "HubContentArn": f"arn:aws:sagemaker:{region}:aws:hub-content/{HUB}/Model/{name}/{version}",
        "HubContentVersion": version,
        "HubContentType": "Model",
        "DocumentSchemaVersion": "2.3.0",
        "HubName": HUB,
        "HubArn": hub_arn,
        "HubContentDisplayName": file["HubContentDisplayName"],
        "HubContentDescription": file["HubContentDescription"],
        "HubContentSearchKeywords": file["HubContentSearchKeywords"],
        "HubContentDocument": json.dumps(file["HubContentDocument"]),
        "HubContentStatus": "Available",
        "CreationTime": 1760000000.0,
    }
