"""What AWS says when it refuses, in its own words."""

from . import ACCOUNT

STATUS = {
    "AccessDeniedException": 400,
    "InternalDependencyException": 530,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "ModelError": 424,
    "ModelNotReadyException": 429,
    "ServiceUnavailable": 503,
}

# What an injected error says when the test does not say it itself.
WORDS = {
    "ThrottlingException": "Rate exceeded",
    "AccessDeniedException": (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/llm-tuner/web is not authorized to perform: iam:PassRole "
        f"on resource: arn:aws:iam::{ACCOUNT}:role/SageMakerRole because no identity-based policy allows "
        "the iam:PassRole action"
    ),
    "ExpiredTokenException": "The security token included in the request is expired",
    "UnrecognizedClientException": "The security token included in the request is invalid.",
    "InternalFailure": "The request processing has failed because of an unknown error, exception or failure.",
    "ServiceUnavailable": "The request has failed due to a temporary failure of the server.",
    "ModelError": 'Received server error (500) from primary with message "CUDA out of memory". '
    "See https://console.aws.amazon.com/cloudwatch/home for more information.",
    "ModelNotReadyException": "Model is not ready for inference yet. Please wait and try your request again.",
    "InternalDependencyException": "Your request caused an exception with an internal dependency. Contact customer support.",
    "ResourceInUse": "Resource is in use.",
}

INTERNAL_PREFIX = "InternalServerError:"
FAILURES = {
    "CapacityError": "CapacityError: Unable to provision requested ML compute capacity. "
    "Please retry using a different ML instance type.",
    "InternalServerError": "InternalServerError: We encountered an internal error. Please try again.",
    "ClientError": "ClientError: Please use an instance type with more memory, or reduce the size of training data "
    "processed on an instance.",
}


class AwsError(Exception):
    """An answer that is an error: its code, its words and its HTTP status."""

    def __init__(self, code, message=None, status=None, **extra):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = WORDS.get(code, code) if message is None else message
        self.status = status or STATUS.get(code, 400)
        self.extra = extra


class JobFailure(Exception):
    """Why a training job fails; becomes its FailureReason."""


def invalid(message):
    return AwsError("ValidationException", message)


def not_found():
    """What SageMaker says of a training job, model or endpoint that it does not know."""
    return invalid("Requested resource not found.")


def failure_reason(kind):
    """The words of a known kind of failure; anything else is taken as the words themselves."""
    return FAILURES.get(kind, kind)


def limit_exceeded(quota, limit, used, delta):
    return AwsError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{quota}' is {limit} Instances, with current utilization of {used} "
        f"Instances and a request delta of {delta} Instances. Please use AWS Service Quotas to request an increase "
        "for this quota. If AWS Service Quotas is not available, contact AWS support to request an increase for "
        "this quota.",
    )


def injected(code, message=None, status=None):
    """An error that a test asks for, in AWS's words unless the test has its own."""
    if code == "ResourceLimitExceeded" and message is None:
        return limit_exceeded("ml.g5.2xlarge for training job usage", 0, 0, 1)
    return AwsError(code, message, status)
