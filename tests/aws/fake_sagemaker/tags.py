"""Tags of anything with an ARN."""

from .errors import invalid


class Tags:
    def __init__(self):
        self._by_arn = {}

    def put(self, arn, tags):
        if len({tag["Key"] for tag in tags}) < len(tags):
            raise invalid("Duplicate tag keys found in the request.")
        self._by_arn[arn] = {**self._by_arn.get(arn, {}), **{tag["Key"]: tag["Value"] for tag in tags}}

    def forget(self, arn):
        self._by_arn.pop(arn, None)

    def of(self, arn):
        return [{"Key": key, "Value": value} for key, value in self._by_arn.get(arn, {}).items()]

    def _known(self, arn):
        if arn not in self._by_arn:
            raise invalid(f"Could not find resource with ARN {arn}")

    def add_tags(self, request, _region):
        self._known(request["ResourceArn"])
        self.put(request["ResourceArn"], request["Tags"])
        return {"Tags": self.of(request["ResourceArn"])}

    def list_tags(self, request, _region):
        self._known(request["ResourceArn"])
        return {"Tags": self.of(request["ResourceArn"])}

    def delete_tags(self, request, _region):
        self._known(request["ResourceArn"])
        for key in request["TagKeys"]:
            self._by_arn[request["ResourceArn"]].pop(key, None)
        return {}

    def operations(self):
        return {"AddTags": self.add_tags, "ListTags": self.list_tags, "DeleteTags": self.delete_tags}
