"""The Terraform files as data, read by an HCL parser: no Terraform needed, and nothing is asked of any network."""

import json
import re
from functools import cache
from pathlib import Path

import hcl2

FOLDER = Path(__file__).parent.parent


@cache
def files(folder: Path = FOLDER) -> dict[str, dict]:
    return {path.name: plain(hcl2.loads(path.read_text())) for path in sorted(folder.glob("*.tf"))}


def plain(value):
    """The parser keeps a text's quotes, which tell it from an expression, and its own marks; here both go."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value[1:-1]
    return value


def blocks(kind: str, configuration: dict[str, dict] | None = None) -> dict[tuple[str, ...], dict]:
    """All blocks of a kind (`variable`, `resource`, `data` …) by their labels."""
    labels = {"resource": 2, "data": 2}.get(kind, 1)
    found = {}
    for content in (configuration or files()).values():
        for block in content.get(kind, []):
            if kind == "locals":
                found.update({(name,): value for name, value in block.items()})
                continue
            path, inner = [], block
            for _ in range(labels):
                (label, inner), = inner.items()
                path.append(label)
            assert tuple(path) not in found, f"{kind} {path} is there twice"
            found[tuple(path)] = inner
    return found


def texts(value):
    """Every text and expression in a piece of configuration."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def references(value) -> set[tuple[str, ...]]:
    """What a piece of configuration refers to: `("var", "name")`, `("data", "aws_…", "name")`, `("aws_…", "name")`."""
    found = set()
    for text in texts(value):
        for match in re.finditer(r"(?<![\w.\"-])(var|local|data\.aws_\w+|aws_\w+)\.(\w+)", text):
            found.add((*match[1].split("."), match[2]))
    return found


def policies() -> dict[str, list[dict]]:
    """The statements of every policy document, by the document's name."""
    found = {}
    for (kind, name), document in blocks("data").items():
        if kind == "aws_iam_policy_document":
            found[name] = document["statement"]
    return found
