"""Service Quotas, and the limits that creation obeys. A GPU's quota is 0 until a test raises it."""

import hashlib
import re

from . import ACCOUNT
from .errors import AwsError, limit_exceeded
from .paging import page
from .shapes import enum_of

GPU = re.compile(r"ml\.(g|p|trn|inf)\d")
USAGES = ("training job", "spot training job", "endpoint")
DEFAULT = {"training job": 20, "spot training job": 20, "endpoint": 4}
CODE = "sagemaker"


class Quotas:
    def __init__(self):
        self._applied = {}

    def operations(self):
        return {
            "ListServiceQuotas": self.list,
            "ListAWSDefaultServiceQuotas": self.list_defaults,
            "GetServiceQuota": self.get,
        }

    def set(self, limits):
        """By quota name, or by instance type for its training jobs."""
        for name, limit in limits.items():
            name = f"{name} for training job usage" if re.fullmatch(r"ml\.[^ ]+", name) else name
            if name not in _names():
                raise ValueError(f"there is no quota {name!r}")
            self._applied[name] = limit

    def take(self, instance_type, usage, used, delta):
        """Refuses what would exceed the quota."""
        name = f"{instance_type} for {usage} usage"
        limit = self._value(name)
        if used + delta > limit:
            raise limit_exceeded(name, limit, used, delta)

    def _value(self, name):
        return self._applied.get(name, _default(name))

    def list(self, request, region):
        return self._list(request, region, self._value)

    def list_defaults(self, request, region):
        return self._list(request, region, _default)

    def get(self, request, region):
        for name in _names():
            if request["ServiceCode"] == CODE and _code(name) == request["QuotaCode"]:
                return {"Quota": _quota(name, region, self._value(name))}
        raise AwsError("NoSuchResourceException", "The request failed because the specified service quota does not exist.")

    def _list(self, request, region, value):
        if request["ServiceCode"] != CODE:
            raise AwsError("NoSuchResourceException", "The request failed because the specified service does not exist.")
        wanted = request.get("QuotaCode")
        names = [name for name in _names() if wanted in (None, _code(name))]
        names, following = page(names, request, default=100)
        return {"Quotas": [_quota(name, region, value(name)) for name in names], **following}


def _names():
    types = {usage: enum_of("TrainingInstanceType") for usage in USAGES[:2]}
    types["endpoint"] = enum_of("ProductionVariantInstanceType")
    return sorted(f"{kind} for {usage} usage" for usage in USAGES for kind in types[usage])


def _default(name):
    kind, _, usage = name.partition(" for ")
    return 0 if GPU.match(kind) else DEFAULT[usage.removesuffix(" usage")]


def _code(name):
    return "L-" + hashlib.sha256(name.encode()).hexdigest()[:8].upper()


def _quota(name, region, value):
    code = _code(name)
    return {
        "ServiceCode": CODE,
        "ServiceName": "Amazon SageMaker",
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT}:{CODE}/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
