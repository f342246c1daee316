"""The server's permissions are those that its sources use: none is missing, none is left over."""

from pathlib import Path

import iam
from calls import PERMISSIONS, SERVICES, called, needed
from configuration import FOLDER, policies

# The documents that make up the server's permissions.
APPLICATION = ["files", "reading", "sagemaker_hosting", "sagemaker_training", "tables"]

# Called, but not allowed here: Terraform makes the tables, so the running server need not be able to. docs/AWS_SETUP.md
# has a policy for `llm-tuner migrate`.
MADE_BY_TERRAFORM = {
    "dynamodb:CreateTable",
    "dynamodb:DescribeContinuousBackups",
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:UpdateContinuousBackups",
    "dynamodb:UpdateTable",
    "dynamodb:UpdateTimeToLive",
}

# Allowed, but no operation of the SDK that is called by this name.
INDIRECT = {
    "iam:PassRole": "CreateTrainingJob and CreateModel name the training role",
    "sagemaker:AddTags": "tags that are given while something is made need it",
    "kms:CreateGrant": "DynamoDB, on the caller's behalf",
    "kms:Decrypt": "S3 and DynamoDB, on the caller's behalf",
    "kms:DescribeKey": "DynamoDB, on the caller's behalf",
    "kms:Encrypt": "DynamoDB, on the caller's behalf",
    "kms:GenerateDataKey": "S3 and DynamoDB, on the caller's behalf",
    "kms:ReEncryptFrom": "DynamoDB, on the caller's behalf",
    "kms:ReEncryptTo": "DynamoDB, on the caller's behalf",
}

# Allowed for parts of the server that are being written. A line goes when its part is there.
UNDER_WAY: set[str] = set()


def allowed() -> set[str]:
    return {action for name in APPLICATION for statement in policies()[name] for action in statement["actions"]}


def test_everything_that_is_called_is_allowed():
    missing = needed(called()) - allowed() - MADE_BY_TERRAFORM
    assert missing == set(), f"infra/policy_*.tf lacks what src/ calls: {sorted(missing)}"


def test_nothing_is_allowed_that_is_never_called():
    left_over = allowed() - needed(called()) - set(INDIRECT) - UNDER_WAY
    assert left_over == set(), f"infra/policy_*.tf allows what src/ never calls: {sorted(left_over)}"


def test_the_calls_of_known_sources_are_found():
    """So that a change of style in the sources can't make the two tests above see nothing."""
    calls = called()
    for operation in ["s3:ListObjectsV2", "s3:UploadPart", "s3:CompleteMultipartUpload", "sts:GetCallerIdentity"]:
        assert operation in calls, operation
    assert "storage/s3/permissions.rs" in calls["s3:PutObjectTagging"]


def test_a_call_is_told_from_a_method_of_the_same_name(tmp_path: Path):
    (tmp_path / "web.rs").write_text("let asked = url.query();")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/mod.rs").write_text("use aws_sdk_dynamodb::Client;")
    (tmp_path / "store/reading.rs").write_text("client\n    .get_item()\n    .send()")
    (tmp_path / "hub.rs").write_text("use aws_sdk_sagemaker::Client;\nclient.describe_hub_content()")
    assert set(called(tmp_path)) == {"dynamodb:GetItem", "sagemaker:DescribeHubContent"}


def test_the_services_are_those_of_the_manifest():
    manifest = (FOLDER.parent / "Cargo.toml").read_text()
    crates = {line.split("=")[0].strip() for line in manifest.splitlines() if line.startswith("aws-sdk-")}
    assert crates == set(SERVICES)


def test_every_permission_in_the_tables_here_exists():
    for action in {*MADE_BY_TERRAFORM, *INDIRECT, *UNDER_WAY, *(p for some in PERMISSIONS.values() for p in some)}:
        assert iam.exists(action), action
