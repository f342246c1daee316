"""The tables that Terraform makes are those that the server makes for itself."""

import re

import pytest
from configuration import FOLDER, blocks

STORE = FOLDER.parent / "src/store/dynamodb"
ROW = re.compile(
    r'^\s*\w+: "(?P<suffix>\w+)", "\w+", "(?P<hash>\w+)", (?:None|Some\("(?P<range>\w+)"\)), (?P<expires>true|false);$',
    re.MULTILINE,
)


def of_the_server(source: str) -> dict[str, dict]:
    rows = [row.groupdict() for row in ROW.finditer(source)]
    return {row.pop("suffix"): {**row, "expires": row["expires"] == "true"} for row in rows}


@pytest.mark.skipif(not STORE.exists(), reason="the server has no DynamoDB adapter")
def test_names_keys_and_expiry_are_the_same():
    tables = of_the_server((STORE / "tables.rs").read_text())
    assert len(tables) >= 10
    assert blocks("locals")[("tables",)] == tables


@pytest.mark.skipif(not STORE.exists(), reason="the server has no DynamoDB adapter")
def test_items_end_by_the_same_attribute():
    (attribute,) = re.findall(r'EXPIRES: &str = "(\w+)"', (STORE / "tables.rs").read_text())
    (ttl,) = [block["ttl"] for block in table()["dynamic"] if "ttl" in block]
    assert f'["{attribute}"]' in ttl["for_each"]


def table() -> dict:
    return blocks("resource")[("aws_dynamodb_table", "this")]


def test_tables_cost_by_use_and_are_not_lost_by_mistake():
    assert table()["billing_mode"] == "PAY_PER_REQUEST"
    assert table()["deletion_protection_enabled"] is True
    assert table()["point_in_time_recovery"] == [{"enabled": True}]


def test_a_row_of_the_servers_is_read():
    rows = of_the_server('    /// x\n    Events: "events", "DYNAMODB_EVENTS_TABLE", "job_id", Some("entry"), false;\n')
    assert rows == {"events": {"hash": "job_id", "range": "entry", "expires": False}}
