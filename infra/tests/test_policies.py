"""Least privilege, statement by statement, against AWS's own tables of actions, resources and conditions."""

import re

import iam
import pytest
from configuration import FOLDER, blocks, policies

# Whose resource is a policy's own object: the key that the policy belongs to.
OF_KEYS = {"key"}
# Who may assume a role, and the bucket's own policy: no permissions of ours.
TRUST = {"training_trust", "application_trust", "bucket"}

# `*` as a resource, where AWS knows a narrower one that is of no use here.
ANY_RESOURCE = {
    "sagemaker:ListTrainingJobs": "lists have no resource",
}
# Condition keys that every request carries, or that the service's page lists apart from its actions.
GLOBAL = {"aws:sourceaccount", "aws:securetransport", "kms:viaservice", "iam:passedtoservice"}

STATEMENTS = [
    pytest.param(document, statement, id=f"{document}-{statement.get('sid', number)}")
    for document, statements in policies().items()
    if document not in TRUST
    for number, statement in enumerate(statements)
]


def arn_pattern(format: str) -> str:
    """The end of an ARN with placeholders as a pattern: `training-job/${Name}` → `training-job/[^/]+`."""
    end = format.split(":", 5)[-1]
    return re.sub(r"\\\$\\\{\w+\\\}", ".+", re.escape(end))


@pytest.mark.parametrize(("document", "statement"), STATEMENTS)
def test_no_action_is_a_pattern_and_each_exists(document, statement):
    for action in statement["actions"]:
        if document in OF_KEYS and action == "kms:*":
            continue
        assert "*" not in action and "?" not in action, f"{action} may be anything"
        assert iam.exists(action), f"AWS knows no {action}"


@pytest.mark.parametrize(("document", "statement"), STATEMENTS)
def test_any_resource_only_where_aws_knows_no_other(document, statement):
    if document in OF_KEYS or statement["resources"] != ["*"]:
        return
    for action in statement["actions"]:
        assert iam.on_any_resource_only(action) or action in ANY_RESOURCE, f"{action} can be narrowed down"


@pytest.mark.parametrize(("document", "statement"), STATEMENTS)
def test_each_condition_is_one_that_the_action_knows(document, statement):
    if document in OF_KEYS:
        return
    for condition in statement.get("condition", []):
        key = condition["variable"].lower()
        if key in GLOBAL:
            continue
        stem = re.sub(r"(tag/).*", r"\1", key)
        for action in statement["actions"]:
            assert stem in iam.condition_keys(action), f"{action} never has {condition['variable']}"


@pytest.mark.parametrize(("document", "statement"), STATEMENTS)
def test_each_resource_is_of_a_kind_that_the_action_works_on(document, statement):
    if document in OF_KEYS or not isinstance(statement["resources"], list):
        return
    written = [text for text in statement["resources"] if re.match(r"\$\{local\.(sagemaker|public_hub)\}:", text)]
    for text in written:
        end = re.sub(r"^\$\{local\.\w+\}:", "", text)
        for action in statement["actions"]:
            patterns = [arn_pattern(kind) for kind in iam.kinds(action)]
            assert any(re.fullmatch(pattern, end) for pattern in patterns), f"{action} does not work on {end}"


NAMES = FOLDER.parent / "src/backends/sagemaker/names.rs"


@pytest.mark.skipif(not NAMES.exists(), reason="the server does not know SageMaker")
def test_jobs_read_and_write_where_the_server_puts_their_things():
    folders = set(re.findall(r'format!\("users/\{user\}/([\w-]+)/', NAMES.read_text()))
    assert set(blocks("locals")[("training_reads",)]) == folders
    assert set(blocks("locals")[("training_writes",)]) < folders


def test_the_reasons_for_any_resource_are_needed():
    allowed = {action for statements in policies().values() for s in statements for action in s.get("actions", [])}
    assert set(ANY_RESOURCE) <= allowed


def test_only_the_bucket_policy_denies_and_only_keys_have_wildcards():
    for document, statements in policies().items():
        for statement in statements:
            assert statement.get("effect", "Allow") == ("Deny" if document == "bucket" else "Allow")


def test_the_training_role_is_handed_to_sagemaker_only():
    passing = [s for statements in policies().values() for s in statements if "iam:PassRole" in s.get("actions", [])]
    (statement,) = passing
    assert statement["actions"] == ["iam:PassRole"]
    assert statement["resources"] == ["${aws_iam_role.training.arn}"]
    assert statement["condition"] == [
        {"test": "StringEquals", "variable": "iam:PassedToService", "values": ["sagemaker.amazonaws.com"]}
    ]


def test_what_is_made_or_ended_on_sagemaker_carries_our_tag():
    for document, statements in policies().items():
        for statement in statements:
            for action in statement.get("actions", []):
                service, _, name = action.partition(":")
                key = "aws:RequestTag/llm-tuner:installation" if name.startswith("Create") else (
                    "aws:ResourceTag/llm-tuner:installation")
                if service == "sagemaker" and re.match("Create|Stop|Delete|Invoke|Update", name):
                    variables = [condition["variable"] for condition in statement.get("condition", [])]
                    assert variables == [key], f"{document}: {action} without our tag"
