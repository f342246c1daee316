"""Invocations of an endpoint, in each shape that the serving images answer in, whole and as an event stream."""

import binascii
import json
import random
import struct

from . import ACCOUNT
from .errors import AwsError

OPERATIONS = {"invocations": "InvokeEndpoint", "invocations-response-stream": "InvokeEndpointWithResponseStream"}
EULA = (
    "Need to pass custom_attributes='accept_eula=true' as part of header. This means you have read and accept the "
    "end-user license agreement (EULA) of the model."
)
SHAPE_OF_IMAGE = {"tgi": "tgi", "djl-inference": "lmi"}
LONGEST_PART = 24


def invoke(world, name, body, attributes):
    """The body of an answer, in one piece."""
    behaviour, shape = _served(world, name)
    _check(shape, _parsed(body), attributes)
    answers = {
        "tgi": [{"generated_text": behaviour.text}],
        "lmi": {"generated_text": behaviour.text},
        "llama2": [{"generation": behaviour.text}],
        "flan": {"generated_texts": [behaviour.text]},
    }
    return json.dumps(answers[shape]).encode()


def invoke_with_stream(world, name, body, attributes):
    """The messages of an event stream: the answer's bytes cut anywhere, so that no reader can rely on a part
    being a line, a JSON document or even whole characters."""
    behaviour, shape = _served(world, name)
    _check(shape, _parsed(body), attributes)
    content = b"".join(_token_lines(shape, behaviour.text))
    parts = _cut(content, random.Random(behaviour.seed))
    if behaviour.stream_error:
        parts = parts[: len(parts) // 2]
    for part in parts:
        headers = {":message-type": "event", ":event-type": "PayloadPart", ":content-type": "application/octet-stream"}
        yield message(headers, part)
    if behaviour.stream_error:
        error = {"Message": "Your model primary did not complete sending the response stream.", "ErrorCode": "StreamBroken"}
        headers = {":message-type": "exception", ":exception-type": behaviour.stream_error, ":content-type": "application/json"}
        yield message(headers, json.dumps(error).encode())


def message(headers, payload):
    """One message of `application/vnd.amazon.eventstream`."""
    encoded = b""
    for name, value in headers.items():
        encoded += struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
    prelude = struct.pack("!II", len(encoded) + len(payload) + 16, len(encoded))
    prelude += struct.pack("!I", binascii.crc32(prelude))
    content = prelude + encoded + payload
    return content + struct.pack("!I", binascii.crc32(content))


def _served(world, name):
    with world.lock:
        world.tick()
        if not world.hosting.in_service(name):
            raise AwsError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        behaviour, image = world.hosting.behaviour(name), world.hosting.image(name)
    by_image = (shape for part, shape in SHAPE_OF_IMAGE.items() if part in image)
    return behaviour, behaviour.shape or next(by_image, "tgi")


def _parsed(body):
    try:
        return json.loads(body)
    except ValueError:
        raise _model_error(400, "Could not parse the request body as JSON") from None


def _check(shape, request, attributes):
    key = "text_inputs" if shape == "flan" else "inputs"
    if not isinstance(request, dict) or key not in request:
        raise _model_error(422, f"Failed to deserialize the JSON body into the target type: missing field `{key}`")
    if shape == "llama2" and "accept_eula=true" not in (attributes or ""):
        raise _model_error(400, EULA)


def _model_error(status, words):
    said = json.dumps({"error": words})
    return AwsError(
        "ModelError",
        f'Received client error ({status}) from primary with message "{said}". '
        f"See https://us-east-1.console.aws.amazon.com/cloudwatch/home in account {ACCOUNT} for more information.",
        OriginalStatusCode=status,
        OriginalMessage=said,
        LogStreamArn="",
    )


def _token_lines(shape, text):
    """TGI sends server-sent events, LMI a JSON document on each line; both end with the whole text."""
    tokens = [word if number == 0 else f" {word}" for number, word in enumerate(text.split(" "))]
    for number, token in enumerate(tokens):
        whole = text if number == len(tokens) - 1 else None
        entry = {"token": {"id": number, "text": token, "log_prob": -0.1}}
        if shape == "lmi":
            yield json.dumps(entry | ({"generated_text": whole} if whole else {}), ensure_ascii=False).encode() + b"\n"
        else:
            entry |= {"generated_text": whole, "details": None}
            yield b"data:" + json.dumps(entry, ensure_ascii=False).encode() + b"\n\n"


def _cut(content, chance):
    parts = []
    while content:
        length = chance.randint(1, LONGEST_PART)
        parts.append(content[:length])
        content = content[length:]
    return parts
