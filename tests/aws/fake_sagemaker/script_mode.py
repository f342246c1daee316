"""What the framework images do: run the script in sourcedir.tar.gz. A program of its own.

`python script_mode.py DIR`, where DIR stands for /opt/ml. The hyperparameters `sagemaker_program` and
`sagemaker_submit_directory` (an S3 URI or a path) name the script; the others become its arguments and, with
the channels and folders, its SM_* variables. requirements.txt is not installed: the Python has what the test needs.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
from urllib.parse import urlparse


def main(base):
    config = base / "input/config"
    hyperparameters = {key: decoded(value) for key, value in read(config / "hyperparameters.json").items()}
    own = {key: value for key, value in hyperparameters.items() if not key.startswith("sagemaker_")}
    program = hyperparameters.get("sagemaker_program")
    if not program:
        return fail(base, "FrameworkError:\nKeyError: 'sagemaker_program'", 1)
    code = base / "code"
    try:
        unpack(hyperparameters.get("sagemaker_submit_directory"), code)
    except Exception as error:
        return fail(base, f"FrameworkError:\n{error}", 1)
    arguments = command_arguments(own)
    environment = sm_variables(base, code, program, own, hyperparameters, arguments)
    return run(base, code, program, arguments, environment)


def run(base, code, program, arguments, environment):
    command = [sys.executable, program, *arguments]
    # The signal reaches the whole group: the script decides what it does, and this program waits for it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    print("Invoking script with the following command:", "\n", " ".join(command), "\n", sep="\n", flush=True)
    child = subprocess.Popen(
        command, cwd=code, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    tail = []
    for line in child.stderr:
        sys.stderr.write(line)
        sys.stderr.flush()
        tail = [*tail, line][-20:]
    code = child.wait()
    if code != 0:
        message = "".join(tail).strip()
        fail(base, f'ExecuteUserScriptError:\nExitCode {code}\nErrorMessage "{message}"\nCommand "{" ".join(command)}"', code)
    return code if code >= 0 else 128 - code


def command_arguments(hyperparameters):
    arguments = []
    for key in sorted(hyperparameters):
        arguments += [f"-{key}" if len(key) == 1 else f"--{key}", str(hyperparameters[key])]
    return arguments


def sm_variables(base, code, program, own, hyperparameters, arguments):
    resources = read(base / "input/config/resourceconfig.json")
    channels = read(base / "input/config/inputdataconfig.json")
    variables = {
        "SM_MODEL_DIR": str(base / "model"),
        "SM_OUTPUT_DIR": str(base / "output"),
        "SM_OUTPUT_DATA_DIR": str(base / "output/data"),
        "SM_INPUT_DIR": str(base / "input"),
        "SM_INPUT_CONFIG_DIR": str(base / "input/config"),
        "SM_CHANNELS": sorted(channels),
        "SM_INPUT_DATA_CONFIG": channels,
        "SM_RESOURCE_CONFIG": resources,
        "SM_HOSTS": resources["hosts"],
        "SM_CURRENT_HOST": resources["current_host"],
        "SM_CURRENT_INSTANCE_TYPE": resources["current_instance_type"],
        "SM_NETWORK_INTERFACE_NAME": resources["network_interface_name"],
        "SM_NUM_CPUS": os.cpu_count(),
        "SM_NUM_GPUS": 0,
        "SM_HPS": own,
        "SM_USER_ARGS": arguments,
        "SM_USER_ENTRY_POINT": program,
        "SM_MODULE_NAME": program.removesuffix(".py"),
        "SM_MODULE_DIR": hyperparameters.get("sagemaker_submit_directory", ""),
        "SM_LOG_LEVEL": hyperparameters.get("sagemaker_container_log_level", 20),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")])),
    }
    variables |= {f"SM_CHANNEL_{name.upper()}": str(base / "input/data" / name) for name in channels}
    variables |= {f"SM_HP_{name.upper()}": value for name, value in own.items()}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()}


def unpack(source, code):
    code.mkdir(exist_ok=True)
    if not source:
        raise ValueError("the hyperparameter sagemaker_submit_directory is missing")
    if source.startswith("s3://"):
        import boto3  # Only here: with a channel the Python of the image needs nothing.

        uri = urlparse(source)
        archive = code.parent / "sourcedir.tar.gz"
        boto3.client("s3").download_file(uri.netloc, uri.path.lstrip("/"), str(archive))
        source = archive
    if pathlib.Path(source).is_dir():
        for path in pathlib.Path(source).iterdir():
            (code / path.name).symlink_to(path)
        return
    with tarfile.open(source) as tar:
        tar.extractall(code)


def decoded(value):
    """The SDK sends JSON, people send plain words; the toolkit takes both."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def read(path):
    return json.loads(path.read_text())


def fail(base, message, code):
    (base / "output/failure").write_text(message)
    print(message, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
