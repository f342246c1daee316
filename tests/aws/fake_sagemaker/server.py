"""HTTP: which service and operation a request means, the faults it meets, and the record of what came."""

import json
import re
import threading
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from . import control, runtime, shapes
from .errors import AwsError, injected, invalid

INVOCATION = re.compile(r"/endpoints/([^/]+)/(invocations|invocations-response-stream)")
CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
SIGNED_FOR = {"SageMaker": "sagemaker", "ServiceQuotasV20190624": "servicequotas", "AWSPriceListService": "pricing"}
JSON_1_1 = "application/x-amz-json-1.1"


def serve(world, port):
    """Serves on this machine only, in threads of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", port), type("BoundHandler", (Handler,), {"world": world}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Answered(Exception):
    """Nothing more is said, and the connection is closed: a fault has answered, or cuts the answer off."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    world = None

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def do_DELETE(self):
        self._answer()

    def log_message(self, *_):
        """The record of requests tells more."""

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_fake/"):
            return self._control(self.path.removeprefix("/_fake/"), body)
        try:
            if invocation := INVOCATION.fullmatch(self.path):
                self._invoke(unquote(invocation[1]), invocation[2], body)
            else:
                self._operation(body)
        except AwsError as error:
            self._refuse(error)
        except Answered:
            self.close_connection = True
        except Exception as error:
            traceback.print_exc()
            self._refuse(AwsError("InternalFailure", f"the fake itself failed: {error}"))

    # The JSON protocol

    def _operation(self, body):
        target, _, name = self.headers.get("X-Amz-Target", "").partition(".")
        service = shapes.service(target)
        record = self._record(target, name, body)
        if service is None or name not in service.operation_names:
            raise AwsError("UnknownOperationException", f"{target}.{name} is not an operation")
        region = self._region(SIGNED_FOR[target])
        fault = self._meet(name)
        request = _parsed(body)
        operation = service.operation_model(name)
        shapes.check_request(operation, request)
        with self.world.lock:
            handler = self.world.operations[target].get(name)
            if handler is None:
                raise AwsError("UnknownOperationException", f"this fake has no {name}")
            self.world.tick()
            answer = handler(request, region)
            self.world.tick()
            shapes.check_answer(operation, answer)
            content = json.dumps(answer).encode() if operation.output_shape else b""
        record["accepted"] = True
        self._drop_after(fault)
        self._send(200, JSON_1_1, content)

    # The runtime

    def _invoke(self, endpoint, way, body):
        name = runtime.OPERATIONS[way]
        record = self._record("SageMakerRuntime", name, body, endpoint=endpoint)
        self._region("sagemaker")
        fault = self._meet(name)
        attributes = self.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        if name == "InvokeEndpoint":
            content = runtime.invoke(self.world, endpoint, body, attributes)
            record["accepted"] = True
            self._drop_after(fault)
            variant = {"x-Amzn-Invoked-Production-Variant": self.world.hosting.variant(endpoint)}
            return self._send(200, "application/json", content, variant)
        messages = list(runtime.invoke_with_stream(self.world, endpoint, body, attributes))
        record["accepted"] = True
        self._start(200, "application/vnd.amazon.eventstream", {"Transfer-Encoding": "chunked"})
        for number, message in enumerate(messages):
            if fault and fault.get("drop_after_accept") and number >= len(messages) // 2:
                raise Answered
            self.wfile.write(b"%x\r\n%s\r\n" % (len(message), message))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    # Control

    def _control(self, route, body):
        try:
            answer = control.answer(self.world, self.command, route, json.loads(body) if body else None)
            self._send(200, "application/json", json.dumps(answer).encode())
        except (ValueError, TypeError, LookupError, AwsError) as error:
            status = 404 if type(error) is LookupError else 400
            self._send(status, "application/json", json.dumps({"error": str(error)}).encode())

    # Parts of an answer

    def _record(self, service, operation, body, **more):
        try:
            shown = json.loads(body) if body else None
        except ValueError:
            shown = body.decode(errors="replace")
        record = {"service": service, "operation": operation, "body": shown, "accepted": False, **more}
        record["user_agent"] = self.headers.get("User-Agent", "")
        record["custom_attributes"] = self.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        record["at"] = self.world.clock.now()
        self.world.requests.append(record)
        return record

    def _region(self, service):
        """The region that the request is signed for."""
        signed = CREDENTIAL.match(self.headers.get("Authorization", ""))
        if signed is None:
            raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        if signed[2] != service:
            words = f"Credential should be scoped to correct service: '{service}'."
            raise AwsError("InvalidSignatureException", words, 403)
        return signed[1]

    def _meet(self, operation):
        """Lets a fault happen that comes before the operation; returns one that comes after it."""
        fault = self.world.faults.meet(operation)
        if fault is None or fault.get("drop_after_accept"):
            return fault
        if fault.get("hang"):
            self.world.faults.hang()
            raise Answered
        if "error" in fault:
            raise injected(fault["error"], fault.get("message"), fault.get("status"))
        self._send(fault["status"], "text/html", fault.get("body", "").encode())
        raise Answered

    def _drop_after(self, fault):
        if fault:
            raise Answered

    def _refuse(self, error):
        content = {"__type": error.code, "Message": error.message, "message": error.message, **error.extra}
        self._send(error.status, JSON_1_1, json.dumps(content).encode(), {"x-amzn-ErrorType": error.code})

    def _send(self, status, kind, content, headers=None):
        self._start(status, kind, {"Content-Length": str(len(content)), **(headers or {})})
        self.wfile.write(content)

    def _start(self, status, kind, headers):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "x-amzn-RequestId": str(uuid.uuid4()), **headers}.items():
            self.send_header(name, value)
        self.end_headers()


def _parsed(body):
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        raise AwsError("SerializationException", "The request body is not JSON") from None
    if not isinstance(request, dict):
        raise invalid("1 validation error detected: the request must be a structure")
    return request
