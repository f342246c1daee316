"""The files hold together: what they refer to is there, what is there is used, nothing of any account is in them."""

import re
from pathlib import Path

import configuration
from configuration import FOLDER, blocks, files, references

ROOT = FOLDER.parent


def all_references() -> set[tuple[str, ...]]:
    return references(list(files().values()))


def test_every_file_parses_and_is_about_one_thing():
    assert len(files()) > 10
    for path in FOLDER.glob("*.tf"):
        assert len(path.read_text().splitlines()) <= 200, f"{path.name} is long: split it"


def test_every_reference_leads_somewhere():
    there = {("var", *name) for name in blocks("variable")}
    there |= {("local", *name) for name in blocks("locals")}
    there |= {("data", *name) for name in blocks("data")}
    there |= set(blocks("resource"))
    assert all_references() - there == set()


def test_every_variable_and_local_is_used():
    # A check of a variable looks at the variable, which is no use of it.
    used = references([content for name, content in files().items() if not name.startswith("variables")])
    assert {("var", *name) for name in blocks("variable")} - used == set()
    assert {("local", *name) for name in blocks("locals")} - all_references() == set()


def test_every_variable_is_described_typed_and_checked():
    for (name,), variable in blocks("variable").items():
        assert variable.get("description"), f"{name} has no description"
        assert variable.get("type"), f"{name} has no type"
        if "bool" not in variable["type"]:
            assert variable.get("validation"), f"{name} takes anything"
            for check in variable["validation"]:
                assert len(check["error_message"]) > 20, f"{name}: a check says too little"


def test_every_output_is_described():
    for (name,), output in blocks("output").items():
        assert output.get("description"), f"{name} has no description"


def test_the_region_alone_has_no_default():
    without = [name for (name,), variable in blocks("variable").items() if "default" not in variable]
    assert without == ["region"]


def test_no_account_secret_or_state_is_kept():
    # From which AWS hands out its containers, and AWS's own numbers for examples.
    public = {"763104351884", "626614931356", "871362719292", "914824155844", "123456789012", "111122223333"}
    for path in [*FOLDER.glob("*.tf"), *FOLDER.glob("*.md"), ROOT / "docs/AWS_SETUP.md"]:
        text = path.read_text()
        others = set(re.findall(r"(?<!\d)\d{12}(?!\d)", text)) - public
        assert others == set(), f"{path.name} names an account: {others}"
        assert not re.search(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b", text), f"{path.name} holds an access key"
    assert [path for path in FOLDER.rglob("*.tfstate*") if ".terraform" not in path.parts] == []


def test_the_providers_major_version_is_pinned():
    (settings,) = [content["terraform"][0] for content in files().values() if "terraform" in content]
    assert re.fullmatch(r"~> \d+\.\d+", settings["required_providers"][0]["aws"]["version"])
    assert "<" in settings["required_version"]


def test_every_setting_that_is_handed_over_is_one_that_the_server_reads():
    (environment,) = blocks("locals")[("environment",)],
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    # Before the server knows SageMaker it reads none of its settings.
    speaks_sagemaker = "SAGEMAKER_EXECUTION_ROLE_ARN" in source
    for name in environment:
        if name.startswith("SAGEMAKER_") and not speaks_sagemaker:
            continue
        assert name in source, f"{name} is set by infra/outputs.tf, but read nowhere in src/"


def test_what_can_carry_tags_gets_them():
    (provider,) = [content["provider"][0]["aws"] for content in files().values() if "provider" in content]
    assert "llm-tuner:installation" in str(provider["default_tags"])


def test_the_parser_tells_a_broken_file(tmp_path: Path):
    (tmp_path / "a.tf").write_text('resource "aws_s3_bucket" "a" { bucket = \n')
    try:
        configuration.files(tmp_path)
    except Exception:
        return
    raise AssertionError("a file that breaks off was read")
