"""A strict stand-in for AWS on loopback: CloudWatch's OTLP endpoints, the events of CloudWatch Logs, and the services
that give credentials.

It verifies each signature by computing it again with botocore, over the very bytes that came, and holds the documented
limits: Amazon CloudWatch User Guide, "OTLP Endpoints", and the sentences that the endpoints are known to answer with.
It refuses what AWS refuses, and where AWS says nothing of a thing it is strict.
"""

import base64
import datetime
import gzip
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import log_events

REGION = "eu-west-1"
SKEW_MAX = datetime.timedelta(minutes=5)

# Of the services whose actions are told by a header, CloudWatch Logs is the one that signs.
ACTIONS = "/"
SERVICES = {ACTIONS: "logs", "/v1/metrics": "monitoring", "/v1/traces": "xray", "/v1/logs": "logs"}
MESSAGES = {
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}
BYTES_MAX = {"/v1/metrics": 5_000_000, "/v1/traces": 5_000_000, "/v1/logs": 1_048_576}
POINTS_MAX, ITEMS_MAX, LABELS_MAX, VALUE_MAX = 1000, 10_000, 150, 1024

# botocore's clock is patched while a signature is verified, and there is one clock for all threads.
CLOCK = threading.Lock()


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, kind: str, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.kind, self.message, self.headers = status, kind, message, headers or {}


@dataclass(frozen=True)
class Unheard:
    """A request that is taken, and whose connection ends before the answer."""


@dataclass
class Taken:
    """A request that was taken."""

    path: str
    key: str
    headers: dict[str, str]
    message: Message


@dataclass(frozen=True)
class Batch:
    """Events of a log that were taken, as they came; whether the sender could hear of it, and when."""

    place: tuple[str, str]
    body: bytes
    events: list[log_events.Event]
    is_answered: bool
    at: float


@dataclass
class Aws:
    """What the stand-in knows and has seen."""

    # Access key to secret key and session token.
    keys: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    bearer: set[str] = field(default_factory=set)
    groups: dict[str, set[str]] = field(default_factory=dict)
    # How far its clock is from that of this machine.
    ahead: datetime.timedelta = datetime.timedelta()
    # What becomes of the next requests on a path. What is refused so is not looked at.
    next: dict[str, list[Refused | Unheard]] = field(default_factory=dict)
    # What the services that give credentials hand out: key, secret, token.
    given: tuple[str, str, str] = ("", "", "")
    taken: list[Taken] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    _server: "_Server | None" = None

    def __enter__(self) -> "Aws":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Listens, at one port for as long as it lives."""
        known = self

        class Handler(_Handler):
            aws = known

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Refuses connections from now on, and takes nothing more from those that there are."""
        if self._server:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()

    def is_open_as(self, server: object) -> bool:
        """Whether this server is the one that listens."""
        return self._server is server

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def now(self) -> datetime.datetime:
        """The time on its clock."""
        return datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + self.ahead

    def of(self, path: str) -> list[Taken]:
        """What was taken at `path`."""
        return [taken for taken in self.taken if taken.path == path]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender may be gone in the middle of anything."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    aws: Aws

    def log_message(self, *_: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.aws.now().strftime("%a, %d %b %Y %H:%M:%S GMT")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = urlsplit(self.path).path
        if not self.aws.is_open_as(self.server):
            self.close_connection = True
            return
        if path == ACTIONS and "x-amz-target" not in self.headers:
            self._security_token_service(body.decode())
            return
        try:
            if not self._take(path, body):
                self.close_connection = True
                return
            kind = self.headers.get("content-type", "")
            self._answer(200, b"{}" if "json" in kind else b"", kind)
        except Refused as refused:
            self.aws.refused.append(f"{path} {refused.status} {refused.message}")
            text = json.dumps({"__type": refused.kind, "message": refused.message}).encode()
            self._answer(refused.status, text, "application/json", refused.headers)

    def do_PUT(self) -> None:
        # IMDSv2 gives a token first.
        self.aws.asked.append(f"PUT {self.path}")
        self._answer(200, b"session-of-the-instance", "text/plain", {"x-aws-ec2-metadata-token-ttl-seconds": "21600"})

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.aws.asked.append(f"GET {path}")
        key, secret, token = self.aws.given
        ends = (self.aws.now() + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        credentials = {"AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": ends}
        if path == "/container":
            good = self.headers.get("authorization") == "token-of-the-pod"
            self._answer(200 if good else 403, json.dumps(credentials).encode(), "application/json")
        elif path == "/federation/credentials":
            good = self.headers.get("x-amz-sso_bearer_token") == "token-of-the-portal"
            ends_ms = int((self.aws.now() - datetime.datetime(1970, 1, 1)).total_seconds() * 1000) + 3_600_000
            role = {"accessKeyId": key, "secretAccessKey": secret, "sessionToken": token, "expiration": ends_ms}
            self._answer(200 if good else 401, json.dumps({"roleCredentials": role}).encode(), "application/json")
        elif self.headers.get("x-aws-ec2-metadata-token") != "session-of-the-instance":
            self._answer(401, b"", "text/plain")
        elif path.rstrip("/").endswith("placement/region"):
            self._answer(200, REGION.encode(), "text/plain")
        elif path.endswith("/role-of-the-instance"):
            self._answer(200, json.dumps(credentials | {"Code": "Success", "Type": "AWS-HMAC"}).encode(), "text/plain")
        elif "iam/security-credentials" in path and "extended" not in path:
            self._answer(200, b"role-of-the-instance", "text/plain")
        else:
            self._answer(404, b"", "text/plain")

    def _security_token_service(self, form: str) -> None:
        asked = {name: values[0] for name, values in parse_qs(form).items()}
        action = asked.get("Action", "")
        self.aws.asked.append(f"STS {action} {asked.get('RoleArn')} {asked.get('WebIdentityToken', '')}".strip())
        key, secret, token = self.aws.given
        ends = (self.aws.now() + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        xml = (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>'
            f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
            f"<SessionToken>{token}</SessionToken><Expiration>{ends}</Expiration></Credentials>"
            f"<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId>"
            f"</AssumedRoleUser></{action}Result></{action}Response>"
        )
        self._answer(200, xml.encode(), "text/xml")

    def _take(self, path: str, body: bytes) -> bool:
        """Takes a request, and returns whether it is answered."""
        fault = self.aws.next[path].pop(0) if self.aws.next.get(path) else None
        if isinstance(fault, Refused):
            raise fault
        if path not in SERVICES:
            raise Refused(404, "UnknownOperationException", "")
        key = self._authenticated(path, body)
        is_heard = fault is None
        if path == ACTIONS:
            self._act(body, is_heard)
            return is_heard
        if path == "/v1/logs":
            self._check_stream()
        message = self._decoded(path, body)
        faults = list(CHECKS[path](message))
        if faults:
            raise Refused(400, "ValidationException", faults[0])
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.aws.taken.append(Taken(path, key, headers, message))
        return is_heard

    def _act(self, body: bytes, is_heard: bool) -> None:
        """An action of CloudWatch Logs."""
        if self.headers.get("content-type") != "application/x-amz-json-1.1":
            raise Refused(400, "SerializationException", "the content type is not that of JSON 1.1")
        asked = json.loads(body)
        group, stream = asked.get("logGroupName", ""), asked.get("logStreamName", "")
        if group not in self.aws.groups:
            raise Refused(400, "ResourceNotFoundException", "The specified log group does not exist.")
        match self.headers["x-amz-target"]:
            case "Logs_20140328.CreateLogStream":
                if stream in self.aws.groups[group]:
                    raise Refused(400, "ResourceAlreadyExistsException", "The specified log stream already exists")
                self.aws.groups[group].add(stream)
            case "Logs_20140328.PutLogEvents":
                if stream not in self.aws.groups[group]:
                    raise Refused(400, "ResourceNotFoundException", "The specified log stream does not exist.")
                events, faults = log_events.read(asked, self.headers.get("x-amzn-logs-format", ""), self.aws.now())
                if faults:
                    raise Refused(400, "InvalidParameterException", faults[0])
                self.aws.batches.append(Batch((group, stream), body, events, is_heard, time.monotonic()))
            case other:
                raise Refused(400, "UnknownOperationException", other)

    def _authenticated(self, path: str, body: bytes) -> str:
        authorization = self.headers.get("authorization", "")
        if authorization.startswith("Bearer "):
            if path == "/v1/traces" or authorization.removeprefix("Bearer ") not in self.aws.bearer:
                raise Refused(403, "AccessDeniedException", "The bearer token is not valid.")
            return "bearer"
        if not authorization.startswith("AWS4-HMAC-SHA256 "):
            raise Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        parts = dict(part.strip().split("=", 1) for part in authorization.split(" ", 1)[1].split(","))
        key, day, region, service, _ = parts["Credential"].split("/")
        secret, token = self.aws.keys.get(key, ("", None))
        if not secret or self.headers.get("x-amz-security-token") != token:
            raise Refused(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        signed = parts["SignedHeaders"].split(";")
        date = self.headers["x-amz-date"]
        at = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ")
        if abs(self.aws.now() - at) > SKEW_MAX:
            early = self.aws.now().strftime("%Y%m%dT%H%M%SZ")
            raise Refused(403, "InvalidSignatureException", f"Signature expired: {date} is now earlier than {early}")
        unsigned = {name for name in map(str.lower, self.headers) if name.startswith("x-amz-")} - set(signed)
        if "host" not in signed or unsigned:
            raise Refused(403, "InvalidSignatureException", f"'Host' and 'x-amz-*' headers must be signed: {unsigned}")
        if (region, service, day) != (REGION, SERVICES[path], date[:8]):
            raise Refused(403, "InvalidSignatureException", f"Credential should be scoped to {REGION}/{SERVICES[path]}.")
        if self._signature(key, secret, token, signed, at, body) != parts["Signature"]:
            words = "The request signature we calculated does not match the signature you provided."
            raise Refused(403, "InvalidSignatureException", words)
        return key

    def _signature(
        self, key: str, secret: str, token: str | None, signed: list[str], at: datetime.datetime, body: bytes
    ) -> str:
        own = ("x-amz-date", "x-amz-security-token")
        headers = {name: value for name, value in self.headers.items() if name.lower() in signed}
        headers = {name: value for name, value in headers.items() if name.lower() not in own}
        url = f"http://{self.headers['host']}{self.path}"
        request = botocore.awsrequest.AWSRequest("POST", url, data=body, headers=headers)
        credentials = botocore.credentials.Credentials(key, secret, token)
        path = urlsplit(self.path).path
        with CLOCK, mock.patch("botocore.auth.get_current_datetime", return_value=at):
            botocore.auth.SigV4Auth(credentials, SERVICES[path], REGION).add_auth(request)
        return request.headers["Authorization"].rsplit("Signature=", 1)[1]

    def _check_stream(self) -> None:
        group, stream = self.headers.get("x-aws-log-group"), self.headers.get("x-aws-log-stream")
        if not group or not stream:
            raise Refused(400, "InvalidParameterException", "x-aws-log-group and x-aws-log-stream are required")
        if group not in self.aws.groups:
            raise Refused(400, "ResourceNotFoundException", "The specified log group does not exist.")
        if stream not in self.aws.groups[group]:
            raise Refused(400, "ResourceNotFoundException", "The specified log stream does not exist.")

    def _decoded(self, path: str, body: bytes) -> Message:
        encoding = self.headers.get("content-encoding", "none")
        if encoding not in ("none", "gzip"):
            raise Refused(400, "ValidationException", f"Unsupported content encoding: {encoding}")
        whole = gzip.decompress(body) if encoding == "gzip" else body
        if len(whole) > BYTES_MAX[path]:
            raise Refused(413, "RequestEntityTooLargeException", "Request too large")
        message = MESSAGES[path]()
        try:
            match self.headers.get("content-type"):
                case "application/x-protobuf":
                    message.ParseFromString(whole)
                case "application/json":
                    json_format.Parse(_base64_ids(whole), message)
                case other:
                    raise Refused(415, "UnsupportedMediaType", f"Unsupported content type: {other}")
        except (DecodeError, json_format.ParseError) as error:
            raise Refused(400, "SerializationException", str(error)) from error
        return message

    def _answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _base64_ids(text: bytes) -> str:
    """OTLP writes ids in hexadecimal where the JSON of protobuf has base64."""
    def walk(value: object) -> object:
        if isinstance(value, dict):
            return {
                name: base64.b64encode(bytes.fromhex(inner)).decode()
                if name in ("traceId", "spanId", "parentSpanId")
                else walk(inner)
                for name, inner in value.items()
            }
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(walk(json.loads(text)))


def points(message: Message) -> Iterator[tuple[Message, Message, Message]]:
    """Each data point with its resource and metric."""
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    yield resource, metric, point


def _of_metrics(message: Message) -> Iterator[str]:
    number = 0
    for resource, metric, point in points(message):
        number += 1
        labels = [*resource.resource.attributes, *point.attributes]
        if not point.start_time_unix_nano:
            yield f"StartTimeUnixNano is required [{metric.name}]"
        if len(labels) > LABELS_MAX:
            yield f"Maximum number of labels exceeded: {LABELS_MAX}. [{metric.name}]"
        if any(len(label.value.string_value) > VALUE_MAX for label in labels):
            yield f"Label value exceeds {VALUE_MAX} characters [{metric.name}]"
    if number > POINTS_MAX:
        yield f"Maximum number of datapoints per request exceeded: {POINTS_MAX}."


def _of_traces(message: Message) -> Iterator[str]:
    spans = [span for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]
    if len(spans) > ITEMS_MAX:
        yield f"Maximum number of spans per request exceeded: {ITEMS_MAX}."
    if any(span.ByteSize() > 200_000 for span in spans):
        yield "Span exceeds 200 KB"


def _of_logs(message: Message) -> Iterator[str]:
    records = sum(len(scope.log_records) for resource in message.resource_logs for scope in resource.scope_logs)
    if records > ITEMS_MAX:
        yield f"Maximum number of log events per request exceeded: {ITEMS_MAX}."


CHECKS = {"/v1/metrics": _of_metrics, "/v1/traces": _of_traces, "/v1/logs": _of_logs}
