"""The Price List: SageMaker's training and hosting by the hour, in the price list's own nested documents."""

import json
import zlib

from .errors import AwsError
from .paging import page

# USD an hour, on demand, as published for us-east-1 and us-west-2.
TRAINING = {
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.c5.xlarge": 0.204,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
    "ml.g5.4xlarge": 2.03,
    "ml.g5.8xlarge": 3.06,
    "ml.g5.12xlarge": 7.09,
    "ml.g5.24xlarge": 10.18,
    "ml.g5.48xlarge": 20.36,
    "ml.g6.xlarge": 1.127,
    "ml.g6.2xlarge": 1.222,
    "ml.g6.12xlarge": 5.752,
    "ml.g6.48xlarge": 16.688,
    "ml.p4d.24xlarge": 25.25,
    "ml.p5.48xlarge": 63.30,
}
REGIONS = {"us-east-1": "USE1", "us-west-2": "USW2"}
COMPONENTS = {"Training": "Train", "Hosting": "Host"}


class Pricing:
    def operations(self):
        return {"GetProducts": self.get_products}

    def get_products(self, request, _region):
        if request["ServiceCode"] != "AmazonSageMaker":
            raise AwsError("NotFoundException", f"Service {request['ServiceCode']} not found")
        wanted = request.get("Filters", [])
        products = [product for product in _products() if all(_fits(product, entry) for entry in wanted)]
        products, following = page(products, request, default=100)
        return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product) for product in products], **following}


def _fits(product, entry):
    if entry["Type"] != "TERM_MATCH":
        raise AwsError("InvalidParameterException", f"this fake knows filters of TERM_MATCH only, not {entry['Type']}")
    return product["product"]["attributes"].get(entry["Field"]) == entry["Value"]


def _products():
    for region, short in REGIONS.items():
        for component, usage in COMPONENTS.items():
            for kind, dollars in TRAINING.items():
                yield _product(region, component, kind, f"{short}-{usage}:{kind}", dollars)


def _product(region, component, kind, usage_type, dollars):
    sku = f"SKU{zlib.crc32(usage_type.encode()):013d}"
    term = f"{sku}.JRTCKXETXF"
    dimension = {
        "unit": "Hrs",
        "endRange": "Inf",
        "beginRange": "0",
        "description": f"${dollars} per hour for {component} on {kind}",
        "rateCode": f"{term}.6YS6EN2CT7",
        "pricePerUnit": {"USD": f"{dollars:.10f}"},
        "appliesTo": [],
    }
    attributes = {
        "servicecode": "AmazonSageMaker",
        "regionCode": region,
        "instanceName": kind,
        "platoinstancetype": component,
        "component": component,
        "usagetype": usage_type,
    }
    return {
        "product": {"productFamily": "ML Instance", "sku": sku, "attributes": attributes},
        "serviceCode": "AmazonSageMaker",
        "terms": {"OnDemand": {term: {"sku": sku, "priceDimensions": {dimension["rateCode"]: dimension}}}},
        "publicationDate": "2026-08-20T00:00:00Z",
    }
