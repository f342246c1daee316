"""Terraform's own word on the files, and what it makes of them in an account (moto's)."""

import json
import os
import shutil
import subprocess

import boto3
import pytest
import terraform
from configuration import FOLDER, blocks
from decisions import allows

pytestmark = pytest.mark.skipif(terraform.missing() is not None, reason=str(terraform.missing()))

REGION = "us-west-2"
ACCOUNT = "123456789012"
BUCKET = "arn:aws:s3:::team-tuner"
SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
TAGGED = {f"aws:{whose}Tag/llm-tuner:installation": "llm-tuner" for whose in ["Request", "Resource"]}
FOREIGN = {f"aws:{whose}Tag/llm-tuner:installation": "another" for whose in ["Request", "Resource"]}


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    return terraform.Workspace(tmp_path_factory.mktemp("plans") / "infra")


@pytest.fixture(scope="module")
def moto():
    server = terraform.Moto()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def made(tmp_path_factory, moto):
    """Everything, made: but for the budget, of which moto knows too little to read it back."""
    workspace = terraform.Workspace(tmp_path_factory.mktemp("made") / "infra", moto.url)
    ec2 = client("ec2", moto)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]["RouteTableId"]
    workspace.variables = {
        "region": REGION, "bucket_name": "team-tuner", "use_dynamodb": True, "make_image_repository": True,
        "monthly_budget": 0, "vpc_id": vpc, "subnet_ids": [subnet], "route_table_ids": [table],
        "alarm_emails": ["ops@example.org"],
    }
    workspace.apply(**workspace.variables)
    return workspace


def client(service: str, moto):
    return boto3.client(service, region_name=REGION, endpoint_url=moto.url,
                        aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture(scope="module")
def application(made, moto) -> list[dict]:
    """The documents attached to the server's role."""
    iam = client("iam", moto)
    documents = []
    for attached in iam.list_attached_role_policies(RoleName="llm-tuner-application")["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
        text = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"]
        assert len(json.dumps(text, separators=(",", ":"))) <= 6144, "AWS takes no longer policy"
        documents.append(text)
    return documents


@pytest.fixture(scope="module")
def training(made, moto) -> list[dict]:
    iam = client("iam", moto)
    names = iam.list_role_policies(RoleName="llm-tuner-training")["PolicyNames"]
    assert set(names) == {"training", "network"}
    return [iam.get_role_policy(RoleName="llm-tuner-training", PolicyName=name)["PolicyDocument"] for name in names]


def test_the_files_are_formatted():
    done = subprocess.run(["terraform", "fmt", "-check", "-diff"], cwd=FOLDER, capture_output=True, text=True,
                          env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull})
    assert done.returncode == 0, done.stdout


def test_the_files_are_valid(plans):
    done = plans.run("validate", "-json")
    result = json.loads(done.stdout[done.stdout.index("{"):])
    assert result["valid"] and result["warning_count"] == 0, result["diagnostics"]


WRONG = {
    "region": "Oregon",
    "name": "LLM Tuner",
    "tags": {"llm-tuner:installation": "x"},
    "bucket_name": "Team.Bucket",
    "storage_prefix": "/tuner/",
    "keep_deleted_days": -1,
    "abort_uploads_after_days": 1,
    "application_runs_on": "lambda",
    "container_registry_account": "aws",
    "vpc_id": "10.0.0.0/16",
    "subnet_ids": ["10.0.1.0/24"],
    "route_table_ids": ["main"],
    "alarm_emails": ["nobody"],
    "monthly_budget": -5,
    "endpoint_hours": 24,
}


@pytest.fixture(scope="module")
def refusals(plans):
    """All mistakes are told at once, but for those whose check looks at another variable that is wrong."""
    network = ["subnet_ids", "route_table_ids"]
    wrong = [WRONG, {"region": REGION, "vpc_id": "vpc-0a", **{name: WRONG[name] for name in network}}]
    told = [plans.plan(**variables) for variables in wrong]
    assert all(done.returncode != 0 for done in told)
    return [refusal for done in told for refusal in done.stderr.split("Error: Invalid value for variable")[1:]]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_with_its_name(refusals, name):
    assert any(f'variable "{name}"' in refusal for refusal in refusals), name


@pytest.mark.parametrize("alone", [{"subnet_ids": ["subnet-0a"]}, {"vpc_id": "vpc-0a"}, {"route_table_ids": ["rtb-0a"]}])
def test_half_a_network_is_refused(plans, alone):
    done = plans.plan(region=REGION, **alone)
    assert done.returncode != 0 and "vpc_id" in done.stderr


def test_a_wrong_value_is_tried_for_every_checked_variable():
    assert set(WRONG) == {name for (name,), variable in blocks("variable").items() if "validation" in variable}


def test_the_server_is_told_what_was_made(made):
    settings = dict(line.split("=", 1) for line in made.outputs()["environment"].splitlines())
    assert settings.pop("SAGEMAKER_SECURITY_GROUPS").startswith("sg-")
    assert settings.pop("SAGEMAKER_KMS_KEY_ID").startswith(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/")
    assert settings == {
        "AWS_REGION": REGION,
        "DATABASE_URL": f"dynamodb://{REGION}/llm-tuner",
        "SAGEMAKER_EXECUTION_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/llm-tuner-training",
        "SAGEMAKER_INSTALLATION": "llm-tuner",
        "SAGEMAKER_SUBNETS": made.variables["subnet_ids"][0],
        "STORAGE_URL": "s3://team-tuner/tuner",
    }


def test_a_second_run_changes_nothing(made):
    done = made.run("plan", "-json", *terraform.settings(made.variables))
    assert done.returncode == 0, done.stdout[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    changed = {line["change"]["resource"]["resource_type"] for line in lines if line["type"] == "planned_change"}
    # moto keeps no descriptions of these.
    assert changed <= {"aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule"}


def resource(made, kind: str, name: str) -> dict:
    state = json.loads((made.folder / "terraform.tfstate").read_text())
    return next(r["instances"][0]["attributes"] for r in state["resources"] if (r["type"], r["name"]) == (kind, name))


def test_the_bucket_is_closed_encrypted_and_tidied(made, moto):
    s3 = client("s3", moto)
    assert set(s3.get_public_access_block(Bucket="team-tuner")["PublicAccessBlockConfiguration"].values()) == {True}
    rules = s3.get_bucket_encryption(Bucket="team-tuner")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert s3.get_bucket_versioning(Bucket="team-tuner")["Status"] == "Enabled"
    lifecycle = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket="team-tuner")["Rules"]}
    assert lifecycle["unfinished-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert lifecycle["deleted-files"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7
    policy = json.loads(s3.get_bucket_policy(Bucket="team-tuner")["Policy"])
    assert [s["Condition"] for s in policy["Statement"]] == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_the_tables_are_as_the_server_makes_them(made, moto):
    dynamodb = client("dynamodb", moto)
    wanted = blocks("locals")[("tables",)]
    assert set(dynamodb.list_tables()["TableNames"]) == {f"llm-tuner-{name}" for name in wanted}
    for name, keys in wanted.items():
        table = dynamodb.describe_table(TableName=f"llm-tuner-{name}")["Table"]
        schema = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}
        assert (schema["HASH"], schema.get("RANGE")) == (keys["hash"], keys["range"])
        assert {attribute["AttributeType"] for attribute in table["AttributeDefinitions"]} == {"S"}
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert table["DeletionProtectionEnabled"] is True
        assert not table.get("GlobalSecondaryIndexes")
        backups = dynamodb.describe_continuous_backups(TableName=table["TableName"])["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        ttl = dynamodb.describe_time_to_live(TableName=table["TableName"])["TimeToLiveDescription"]
        assert ttl.get("AttributeName") == ("expires" if keys["expires"] else None)


def test_everything_carries_our_tag(made):
    state = json.loads((made.folder / "terraform.tfstate").read_text())
    tagged = 0
    for found in state["resources"]:
        for instance in found["instances"]:
            if found["mode"] == "managed" and "tags_all" in instance["attributes"]:
                assert instance["attributes"]["tags_all"]["llm-tuner:installation"] == "llm-tuner", found["type"]
                tagged += 1
    assert tagged >= 20


def test_only_services_of_aws_assume_the_roles(made, moto):
    iam = client("iam", moto)
    trust = {role["RoleName"]: role["AssumeRolePolicyDocument"]["Statement"] for role in iam.list_roles()["Roles"]}
    assert set(trust) == {"llm-tuner-application", "llm-tuner-training"}
    (application,), (training,) = trust["llm-tuner-application"], trust["llm-tuner-training"]
    assert application["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert training["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert training["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/llm-tuner-"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"
HUB = f"arn:aws:sagemaker:{REGION}:aws:hub-content/SageMakerPublicHub/Model/"


@pytest.mark.parametrize(("action", "resource", "context"), [
    ("s3:PutObject", f"{BUCKET}/tuner/users/a/datasets/b", {}),
    ("s3:ListBucket", BUCKET, {}),
    ("dynamodb:DeleteItem", f"{TABLE}sessions", {}),
    ("dynamodb:PutItem", f"{TABLE}audit", {}),
    ("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/job-1", TAGGED),
    ("sagemaker:AddTags", f"{SAGEMAKER}:training-job/job-1", {"sagemaker:TaggingAction": "CreateTrainingJob"}),
    ("sagemaker:StopTrainingJob", f"{SAGEMAKER}:training-job/job-1", TAGGED),
    ("sagemaker:DescribeTrainingJob", f"{SAGEMAKER}:training-job/not-there", {}),
    ("sagemaker:CreateEndpoint", f"{SAGEMAKER}:endpoint/e", TAGGED),
    ("sagemaker:DeleteModel", f"{SAGEMAKER}:model/e", TAGGED),
    ("sagemaker:InvokeEndpointWithResponseStream", f"{SAGEMAKER}:endpoint/e", TAGGED),
    ("iam:PassRole", f"{ROLE}llm-tuner-training", {"iam:PassedToService": "sagemaker.amazonaws.com"}),
    ("sagemaker:DescribeHubContent", f"{HUB}meta-textgeneration-llama-2-7b", {}),
    ("logs:DescribeLogStreams", f"{LOGS}/aws/sagemaker/TrainingJobs", {}),
    ("logs:GetLogEvents", f"{LOGS}/aws/sagemaker/TrainingJobs:log-stream:job-1/algo-1-1700000000", {}),
    ("pricing:GetProducts", "*", {}),
])
def test_the_server_may(application, action, resource, context):
    assert allows(application, action, resource, context)


@pytest.mark.parametrize(("action", "resource", "context"), [
    ("s3:GetObject", f"{BUCKET}/other/file", {}),
    ("s3:GetObject", "arn:aws:s3:::another-bucket/tuner/file", {}),
    ("s3:DeleteBucket", BUCKET, {}),
    ("s3:PutBucketPolicy", BUCKET, {}),
    ("dynamodb:DeleteItem", f"{TABLE}audit", {}),
    ("dynamodb:UpdateItem", f"{TABLE}audit", {}),
    ("dynamodb:BatchWriteItem", f"{TABLE}audit", {}),
    ("dynamodb:Scan", f"{TABLE}users", {}),
    ("dynamodb:DeleteTable", f"{TABLE}users", {}),
    ("dynamodb:GetItem", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/payroll", {}),
    ("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/job-1", {}),
    ("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/job-1", FOREIGN),
    ("sagemaker:StopTrainingJob", f"{SAGEMAKER}:training-job/of-another-team", {}),
    ("sagemaker:StopTrainingJob", f"{SAGEMAKER}:training-job/of-another-installation", FOREIGN),
    ("sagemaker:AddTags", f"{SAGEMAKER}:training-job/of-another-team", TAGGED),
    ("sagemaker:DeleteEndpoint", f"{SAGEMAKER}:endpoint/of-another-team", {}),
    ("sagemaker:InvokeEndpoint", f"{SAGEMAKER}:endpoint/of-another-team", {}),
    ("sagemaker:CreateNotebookInstance", f"{SAGEMAKER}:notebook-instance/n", TAGGED),
    ("iam:PassRole", f"{ROLE}llm-tuner-training", {"iam:PassedToService": "ec2.amazonaws.com"}),
    ("iam:PassRole", f"{ROLE}admin", {"iam:PassedToService": "sagemaker.amazonaws.com"}),
    ("iam:CreateRole", f"{ROLE}x", {}),
    ("logs:GetLogEvents", f"{LOGS}/aws/lambda/payroll:log-stream:x", {}),
    ("kms:ScheduleKeyDeletion", "*", {}),
])
def test_the_server_may_not(application, action, resource, context):
    assert not allows(application, action, resource, context)


def test_the_server_uses_the_key_through_s3_and_dynamodb_only(application, made):
    key = dict(line.split("=", 1) for line in made.outputs()["environment"].splitlines())["SAGEMAKER_KMS_KEY_ID"]
    for service in ["s3", "dynamodb"]:
        assert allows(application, "kms:Decrypt", key, {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"})
    assert not allows(application, "kms:Decrypt", key)


@pytest.mark.parametrize(("action", "resource", "wanted"), [
    ("s3:GetObject", f"{BUCKET}/tuner/users/a/training-data/j/training/train.jsonl", True),
    ("s3:PutObject", f"{BUCKET}/tuner/users/a/models/j/model.safetensors", True),
    ("s3:PutObject", f"{BUCKET}/tuner/users/a/checkpoints/j/manifest.json", True),
    ("s3:GetObject", f"arn:aws:s3:::jumpstart-cache-prod-{REGION}/source-directory-tarballs/x", True),
    ("s3:GetObject", f"arn:aws:s3:::jumpstart-private-cache-prod-{REGION}/x", True),
    ("ecr:BatchGetImage", f"arn:aws:ecr:{REGION}:763104351884:repository/huggingface-pytorch-training", True),
    ("ecr:BatchGetImage", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/llm-tuner", True),
    ("logs:PutLogEvents", f"{LOGS}/aws/sagemaker/TrainingJobs:log-stream:a", True),
    ("ec2:DescribeSubnets", "*", True),
    ("s3:PutObject", f"arn:aws:s3:::jumpstart-cache-prod-{REGION}/x", False),
    ("s3:GetObject", f"{BUCKET}/tuner/users/a/datasets/b", False),
    ("s3:PutObject", f"{BUCKET}/tuner/users/a/training-data/j/training/train.jsonl", False),
    ("s3:DeleteObject", f"{BUCKET}/tuner/users/a/models/j/model.safetensors", False),
    ("s3:GetObject", "arn:aws:s3:::another-bucket/x", False),
    ("ecr:PutImage", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/llm-tuner", False),
    ("dynamodb:GetItem", f"{TABLE}users", False),
    ("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/x", False),
    ("iam:PassRole", f"{ROLE}llm-tuner-training", False),
])
def test_what_trains_may_and_may_not(training, action, resource, wanted):
    assert allows(training, action, resource, TAGGED) is wanted


def test_alarms_reach_the_topic(made, moto):
    topic = resource(made, "aws_sns_topic", "alarms")["arn"]
    (alarm,) = client("cloudwatch", moto).describe_alarms()["MetricAlarms"]
    assert alarm["AlarmActions"] == [topic]
    events = client("events", moto)
    (target,) = events.list_targets_by_rule(Rule="llm-tuner-failed-job")["Targets"]
    assert target["Arn"] == topic
    pattern = json.loads(events.describe_rule(Name="llm-tuner-failed-job")["EventPattern"])
    assert pattern["detail"]["RoleArn"] == [f"{ROLE}llm-tuner-training"]
    (subscription,) = client("sns", moto).list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert subscription["Endpoint"] == "ops@example.org"


def test_by_default_there_are_no_tables_no_network_and_no_repository(tmp_path, moto):
    """A plan of what a person gets who sets nothing but the region; the budget is in it."""
    workspace = terraform.Workspace(tmp_path / "infra", moto.url)
    done = workspace.run("plan", "-out=plan", f"-var=region={REGION}")
    assert done.returncode == 0, done.stderr
    planned = json.loads(workspace.run("show", "-json", "plan").stdout)["planned_values"]["root_module"]["resources"]
    kinds = {resource["type"] for resource in planned}
    assert not kinds & {"aws_dynamodb_table", "aws_security_group", "aws_vpc_endpoint", "aws_ecr_repository"}
    (budget,) = [r["values"] for r in planned if r["type"] == "aws_budgets_budget"]
    assert (budget["limit_amount"], budget["limit_unit"]) == ("100", "USD")
    assert len(budget["notification"]) == 4
    shutil.rmtree(workspace.folder)
