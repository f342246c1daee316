"""May somebody do it? IAM's evaluation of policies, as far as ours go: an explicit deny, else an allow, else no.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""

from fnmatch import fnmatchcase


def allows(documents: list[dict], action: str, resource: str, context: dict[str, str] | None = None) -> bool:
    statements = [statement for document in documents for statement in listed(document["Statement"])]
    effects = {s["Effect"] for s in statements if applies(s, action, resource, context or {})}
    return "Allow" in effects and "Deny" not in effects


def applies(statement: dict, action: str, resource: str, context: dict[str, str]) -> bool:
    assert not statement.keys() & {"NotAction", "NotResource", "NotPrincipal"}, "unknown here"
    return (
        any(fnmatchcase(action.lower(), pattern.lower()) for pattern in listed(statement["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        and all(holds(test, key, listed(values), context) for test, key, values in conditions(statement))
    )


def conditions(statement: dict):
    for test, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            yield test, key, values


def holds(test: str, key: str, values: list[str], context: dict[str, str]) -> bool:
    """A condition on a key that the request does not have never holds."""
    present = {name.lower(): value for name, value in context.items()}.get(key.lower())
    if present is None:
        return False
    match test:
        case "StringEquals" | "ArnEquals" | "Bool":
            return present in values
        case "StringLike":
            return any(fnmatchcase(present, value) for value in values)
    raise AssertionError(f"the condition {test} is unknown here")


def listed(value):
    return value if isinstance(value, list) else [value]
