"""Terraform itself on a copy of the files, and moto in AWS's place. Asks no network but this machine's."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from configuration import FOLDER

# Where Terraform looks for providers that are on this machine (https://developer.hashicorp.com/terraform/cli/config,
# "Implied Local Mirror Directories"), and where images for tests put them.
MIRRORS = ["~/.terraform.d/plugins", "~/.local/share/terraform/plugins", "/usr/local/share/terraform/plugins",
           "/usr/share/terraform/plugins", *sorted(map(str, Path("/opt").glob("*")))]

# What differs from a real run: nothing is asked of AWS, and a bucket is a path on this machine.
OVERRIDE = """
provider "aws" {
  access_key                  = "test"
  secret_key                  = "test"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
}
"""


def mirror() -> Path | None:
    """A folder that holds the provider, or none."""
    name = os.environ.get("TERRAFORM_PROVIDERS")
    for folder in [name] if name else MIRRORS:
        folder = Path(folder).expanduser()
        if (folder / "registry.terraform.io/hashicorp/aws").is_dir():
            return folder
    return None


def missing() -> str | None:
    """Why these tests can't run here."""
    if not shutil.which("terraform"):
        return "there is no terraform on this machine"
    if not mirror():
        return "there is no copy of the provider hashicorp/aws on this machine (TERRAFORM_PROVIDERS names its folder)"
    return None


class Workspace:
    """A copy of the files in a folder of its own, ready to plan and apply."""

    def __init__(self, folder: Path, endpoint: str | None = None):
        self.folder = folder
        folder.mkdir()
        for path in FOLDER.glob("*.tf"):
            shutil.copy(path, folder)
        (folder / "for_tests_override.tf").write_text(OVERRIDE)
        empty = folder / "terraform.rc"
        empty.write_text("")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_"))}
        self.environment = {**kept, "TF_CLI_CONFIG_FILE": str(empty), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        if endpoint:
            self.environment["AWS_ENDPOINT_URL"] = endpoint
        self.run("init", "-backend=false", f"-plugin-dir={mirror()}").check_returncode()

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess:
        flags = [] if command in ("fmt", "output", "show", "validate") else ["-input=false"]
        words = ["terraform", command, *([] if command == "fmt" else ["-no-color"]), *flags, *arguments]
        return subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=400)

    def apply(self, **variables) -> None:
        done = self.run("apply", "-auto-approve", *settings(variables))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr

    def plan(self, **variables) -> subprocess.CompletedProcess:
        return self.run("plan", "-refresh=false", *settings(variables))

    def outputs(self) -> dict:
        return {name: output["value"] for name, output in json.loads(self.run("output", "-json").stdout).items()}


def settings(variables: dict) -> list[str]:
    return [f"-var={name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in variables.items()]


# It ends when nobody holds the other end of its input any more: so with the test that started it, however that ends.
SERVER = """
import os, sys, threading
from moto.server import main

threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main()
"""


class Moto:
    """moto on a free port; ended by `stop`."""

    def __init__(self):
        words = [sys.executable, "-c", SERVER, "-H", "127.0.0.1", "-p", "0"]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.url = next(line.split("Running on ")[1].strip() for line in self.process.stderr if "Running on" in line)
        # Read on, so that it never waits for us.
        threading.Thread(target=lambda: self.process.stderr.read(), daemon=True).start()
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{self.url}/moto-api/", timeout=5)
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("moto does not answer")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
