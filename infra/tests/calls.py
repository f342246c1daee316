"""Which permissions the server needs, read off its sources: every operation of an AWS SDK that it calls."""

import re
from functools import cache
from pathlib import Path

import botocore.session
from botocore import xform_name

ROOT = Path(__file__).parent.parent.parent

# The crates of Cargo.toml, by botocore's name of the service and the name in permissions.
SERVICES = {
    "aws-sdk-cloudwatchlogs": ("logs", "logs"),
    "aws-sdk-dynamodb": ("dynamodb", "dynamodb"),
    "aws-sdk-pricing": ("pricing", "pricing"),
    "aws-sdk-s3": ("s3", "s3"),
    "aws-sdk-sagemaker": ("sagemaker", "sagemaker"),
    "aws-sdk-sagemakerruntime": ("sagemaker-runtime", "sagemaker"),
    "aws-sdk-servicequotas": ("service-quotas", "servicequotas"),
    "aws-sdk-sts": ("sts", "sts"),
}

# Where the permission is not called like the operation: S3's page "Required permissions for Amazon S3 API operations",
# and for transactions DynamoDB's "Using IAM with transactions".
PERMISSIONS = {
    "s3:CompleteMultipartUpload": ["s3:PutObject"],
    "s3:CopyObject": ["s3:GetObject", "s3:PutObject"],
    "s3:CreateMultipartUpload": ["s3:PutObject"],
    "s3:DeleteObjects": ["s3:DeleteObject"],
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:ListMultipartUploads": ["s3:ListBucketMultipartUploads"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:ListParts": ["s3:ListMultipartUploadParts"],
    "s3:UploadPart": ["s3:PutObject"],
    "dynamodb:TransactWriteItems": [
        "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem",
    ],
    "dynamodb:TransactGetItems": ["dynamodb:GetItem"],
}


@cache
def operations() -> dict[str, list[tuple[str, str]]]:
    """Every operation of those services, as Rust's SDK names it: `create_training_job` → sagemaker, CreateTrainingJob."""
    session, found = botocore.session.get_session(), {}
    for crate, (service, prefix) in SERVICES.items():
        for operation in session.get_service_model(service).operation_names:
            found.setdefault(xform_name(operation), []).append((crate, f"{prefix}:{operation}"))
    return found


def called(folder: Path = ROOT / "src") -> dict[str, list[str]]:
    """The operations that the sources call, with the files that do. A call is `.operation()` without arguments in a
    file whose folder speaks of its service's crate; this tells `client.query()` from `url.query()`."""
    found, sources = {}, {path: path.read_text() for path in sorted(folder.rglob("*.rs"))}
    speaks = {}
    for path, source in sources.items():
        speaks.setdefault(path.parent, set()).update(c for c in SERVICES if c.replace("-", "_") + "::" in source)
    for path, source in sources.items():
        for name in set(re.findall(r"\.([a-z][a-z0-9_]+)\(\)", source.split("#[cfg(test)]")[0])):
            for crate, operation in operations().get(name, []):
                if crate in speaks[path.parent]:
                    found.setdefault(operation, []).append(str(path.relative_to(folder)))
    return found


def needed(operations_called) -> set[str]:
    return {permission for operation in operations_called for permission in PERMISSIONS.get(operation, [operation])}
