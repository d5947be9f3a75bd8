"""wattline sends metrics, traces and logs to a strict stand-in for Amazon CloudWatch, as somebody from each source of
credentials, through what goes wrong on the way."""

import datetime
import hashlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import aws
import wattline
from aws import REGION, Aws, Refused
from checks import Checks
from program import until

GROUP, STREAM = "/wattline/real", "host-1"
SPANS, RECORDS, RICH = 25_000, 12_000, 500
KEY, SECRET, TOKEN = "AKIAREALSUITE0000001", "the+secret/of=the+suite", "a/session+token=="


def play(checks: Checks, folder: Path) -> None:
    """Plays the scene."""
    folder = folder / "cloudwatch"
    folder.mkdir()
    with checks.of("cloudwatch"):
        for source in SOURCES:
            checks.that(f"{source.name} lets it in", _from(source, folder))
        checks.that("what is wrong is told apart", _told_apart(folder))
        for sentence, faults in _sent(folder):
            checks.that(sentence, faults)


# Where credentials come from.


@dataclass(frozen=True)
class Source:
    """One of the places where credentials are found. `prepare` makes its files and returns its variables."""

    name: str
    prepare: Callable[[Path, Aws], dict[str, str]]
    asked: str


def _environment(_folder: Path, _aws: Aws) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN, "AWS_REGION": REGION}


def _profile(folder: Path, _aws: Aws) -> dict[str, str]:
    _write_profile(folder, KEY, SECRET, TOKEN)
    return _files(folder, f"[default]\nregion = {REGION}\n")


def _process(folder: Path, _aws: Aws) -> dict[str, str]:
    said = {"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": SECRET, "SessionToken": TOKEN}
    (folder / "said.json").write_text(json.dumps(said))
    return _files(folder, f"[default]\nregion = {REGION}\ncredential_process = cat {folder}/said.json\n")


def _web_identity(folder: Path, stand_in: Aws) -> dict[str, str]:
    (folder / "identity").write_text("token-of-the-cluster")
    return {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "identity"),
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/web",
        "AWS_ENDPOINT_URL_STS": stand_in.url,
        "AWS_REGION": REGION,
    }


def _assumed(folder: Path, stand_in: Aws) -> dict[str, str]:
    _write_profile(folder, "AKIAOFTHEBASE0000000", "base", None, "base")
    config = f"[default]\nregion = {REGION}\nrole_arn = arn:aws:iam::1:role/assumed\nsource_profile = base\n"
    return _files(folder, config) | {"AWS_ENDPOINT_URL_STS": stand_in.url}


def _container(folder: Path, stand_in: Aws) -> dict[str, str]:
    # As EKS pod identity has it; ECS has the same without the file.
    (folder / "pod").write_text("token-of-the-pod")
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{stand_in.url}/container",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(folder / "pod"),
        "AWS_REGION": REGION,
    }


def _instance(_folder: Path, stand_in: Aws) -> dict[str, str]:
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": stand_in.url, "AWS_EC2_METADATA_DISABLED": "false"}


def _portal(folder: Path, stand_in: Aws) -> dict[str, str]:
    cache = folder / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    ends = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    token = {"accessToken": "token-of-the-portal", "expiresAt": ends, "region": REGION, "startUrl": "https://start"}
    (cache / f"{hashlib.sha1(b'portal').hexdigest()}.json").write_text(json.dumps(token))
    config = (
        f"[default]\nregion = {REGION}\nsso_session = portal\nsso_account_id = 1\nsso_role_name = r\n"
        f"[sso-session portal]\nsso_region = {REGION}\nsso_start_url = https://start\n"
    )
    return _files(folder, config) | {"AWS_ENDPOINT_URL_SSO": stand_in.url}


SOURCES = [
    Source("the environment", _environment, ""),
    Source("a profile", _profile, ""),
    Source("a credential process", _process, ""),
    Source("an assumed role", _assumed, "STS AssumeRole arn:aws:iam::1:role/assumed"),
    Source("a web identity", _web_identity, "STS AssumeRoleWithWebIdentity arn:aws:iam::1:role/web token-of-the-cluster"),
    Source("EKS pod identity", _container, "GET /container"),
    Source("the instance's role and region", _instance, "PUT /latest/api/token"),
    Source("IAM Identity Center", _portal, "GET /federation/credentials"),
]


def _files(folder: Path, config: str) -> dict[str, str]:
    (folder / "config").write_text(config)
    return {"AWS_CONFIG_FILE": str(folder / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials")}


def _write_profile(folder: Path, key: str, secret: str, token: str | None, name: str = "default") -> None:
    text = f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    (folder / "credentials").write_text(text + (f"aws_session_token = {token}\n" if token else ""))


def _stand_in() -> Aws:
    return Aws(keys={KEY: (SECRET, TOKEN)}, given=(KEY, SECRET, TOKEN), groups={GROUP: {STREAM}})


def _from(source: Source, folder: Path) -> list[str]:
    folder = folder / source.name.replace(" ", "-").replace("'", "")
    folder.mkdir()
    with _stand_in() as stand_in:
        found = _check(folder, stand_in, source.prepare(folder, stand_in))
        faults = [f"{each['signal']}: {each['detail']}" for each in found if each["state"] != "up"]
        faults += [] if len(found) == 3 else [f"{len(found)} trials instead of 3"]
        faults += [f"taken as {taken.key}" for taken in stand_in.taken if taken.key != KEY]
        faults += [] if len(stand_in.taken) == 3 else [f"taken {len(stand_in.taken)} requests"]
        signed = {"content-type;host;x-amz-date;x-amz-security-token"}
        seen = {taken.headers["authorization"].split("SignedHeaders=")[1].split(",")[0] for taken in stand_in.taken}
        faults += [] if seen == signed else [f"signed {seen}"]
        if source.asked and source.asked not in stand_in.asked:
            faults.append(f"never asked {source.asked}: {stand_in.asked}")
        return faults


def _check(folder: Path, stand_in: Aws, env: dict[str, str], more: str = "") -> list[dict]:
    """What `wattline check --connect` finds."""
    config = folder / "check.toml"
    config.write_text(_destination(stand_in, more))
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"}
    argv = [wattline.binary(), "check", "--connect", "--json", "--config", config]
    printed = subprocess.run(argv, env=clean | env, capture_output=True, timeout=120, text=True)
    for secret in (SECRET, TOKEN, "token-of-the"):
        if secret in printed.stdout + printed.stderr:
            raise AssertionError(f"a secret was told: {printed.stdout} {printed.stderr}")
    return json.loads(printed.stdout)["destinations"]


def _destination(stand_in: Aws, more: str = "") -> str:
    return f"""
[[exporters.cloudwatch]]
endpoint = "{stand_in.url}"
signals = ["metrics", "traces", "logs"]
log_group = "{GROUP}"
log_stream = "{STREAM}"
interval = "1s"
{more}
retry.initial = "100ms"
retry.max = "1s"
retry.unauthorized = "1s"
"""


def _json_destination(stand_in: Aws) -> str:
    return f"""
[[exporters.otlp]]
name = "json"
endpoint = "{stand_in.url}"
protocol = "http/json"
aws = {{ log_group = "{GROUP}", log_stream = "{STREAM}" }}
interval = "1s"
retry.unauthorized = "1s"
"""


def _told_apart(folder: Path) -> list[str]:
    faults = []
    env = _environment(folder, Aws())

    def expect(what: str, stand_in: Aws, kind: str, words: str, **other: dict[str, str]) -> None:
        with stand_in:
            found = _check(folder, stand_in, other.get("env", env))
        logs = next(each for each in found if each["signal"] == "logs")
        if logs.get("fault") != kind or words not in f"{logs['detail']} {logs.get('remedy')}":
            faults.append(f"{what}: {logs}")

    expect("a wrong key", Aws(), "credential", "UnrecognizedClientException")
    clock = _stand_in()
    clock.ahead = datetime.timedelta(minutes=10)
    expect("a wrong clock", clock, "credential", "behind that of AWS")
    group = _stand_in()
    group.groups = {}
    expect("a missing group", group, "other", f"aws logs create-log-group --log-group-name {GROUP}")
    group = _stand_in()
    group.groups = {GROUP: set()}
    expect("a missing stream", group, "other", "aws logs create-log-stream")
    expect("no credentials", _stand_in(), "credential", "there are no AWS credentials", env={"AWS_REGION": REGION})
    expect("no region", _stand_in(), "credential", "no AWS region is known", env={})
    return faults


# The way of the data.


def _sent(folder: Path) -> list[tuple[str, list[str]]]:
    with _stand_in() as stand_in, _stand_in() as in_json:
        stand_in.groups = {}
        stand_in.next = {
            "/v1/metrics": [Refused(503, "ServiceUnavailable", "", {"retry-after": "1"}), _throttled()],
            "/v1/traces": [Refused(429, "TooManyRequestsException", ""), _throttled()],
        }
        # Who it is at first may do nothing any more; the file is rotated while it runs.
        _write_profile(folder, "AKIAEXPIRED000000000", "old", None)
        env = _files(folder, f"[default]\nregion = {REGION}\n") | {"AWS_EC2_METADATA_DISABLED": "true"}
        agent = wattline.start(folder, [], more=_destination(stand_in) + _json_destination(in_json), env=env)
        needs = [agent.program]
        _offer(agent.http)
        until("the old credentials were refused", lambda: any("403" in said for said in stand_in.refused), needs)
        _write_profile(folder, KEY, SECRET, TOKEN)
        missing = "The specified log group does not exist."
        until("logs asked for their group", lambda: any(missing in said for said in stand_in.refused), needs)
        until("the remedy is told", lambda: any("create-log-group" in line for line in agent.program.lines()), needs)
        stand_in.groups = {GROUP: {STREAM}}
        until("three snapshots", lambda: len({_time(taken) for taken in stand_in.of("/v1/metrics")}) >= 3, needs)
        until("all spans", lambda: _count(stand_in, "/v1/traces") >= SPANS, needs)
        # What waits for a group is asked again after a minute.
        until("all records", lambda: _count(stand_in, "/v1/logs") >= RECORDS, needs)
        until("all spans in JSON", lambda: _count(in_json, "/v1/traces") >= SPANS, needs)
        until("all records in JSON", lambda: _count(in_json, "/v1/logs") >= RECORDS, needs)
        agent.program.stop()
        log = agent.program.lines()
        return [*_judged(stand_in, log), *_alike(stand_in, in_json)]


def _judged(stand_in: Aws, log: list[str]) -> Iterator[tuple[str, list[str]]]:
    table = wattline.table()
    names = {metric.name for taken in stand_in.of("/v1/metrics") for _, metric, _ in aws.points(taken.message)}
    yield "metrics arrive within every limit, under names of the table", [
        *(["nothing arrived"] if not names else []),
        *(f"{name} is in no table" for name in names if name not in table),
        *(["hw.energy is missing"] if "hw.energy" not in names else []),
    ]
    yield "every span arrives once", _once(_ids(stand_in, "/v1/traces"), SPANS)
    yield "every log record arrives once, in the group and the stream", [
        *_once(_ids(stand_in, "/v1/logs"), RECORDS),
        *(
            f"headers {taken.headers}"
            for taken in stand_in.of("/v1/logs")
            if (taken.headers.get("x-aws-log-group"), taken.headers.get("x-aws-log-stream")) != (GROUP, STREAM)
        ),
    ]
    passing = ("403", "503", "429", "ThrottlingException", "does not exist", "Rate exceeded")
    yield "nothing was refused but what the scene refuses", [
        said for said in stand_in.refused if not any(word in said for word in passing)
    ]
    yield "nothing was dropped and no secret told", [
        line for line in log if "dropped" in line or SECRET in line or TOKEN in line
    ]


def _alike(stand_in: Aws, in_json: Aws) -> Iterator[tuple[str, list[str]]]:
    """What was read from JSON by protobuf's own library, against what came in protobuf."""
    for path in ("/v1/traces", "/v1/logs"):
        one, other = (
            {item.SerializeToString(deterministic=True) for item in _items(each, path)} for each in (stand_in, in_json)
        )
        yield f"JSON tells the same at {path}", [f"{len(one ^ other)} differ"] if one != other else []
    kinds = {taken.headers["content-type"] for taken in in_json.taken}
    yield "it was JSON", [] if kinds == {"application/json"} else [str(kinds)]
    yield "JSON was never refused but for the old credentials", [
        said for said in in_json.refused if "UnrecognizedClient" not in said and "403" not in said
    ]


def _throttled() -> Refused:
    return Refused(400, "ThrottlingException", "Rate exceeded")


def _time(taken: aws.Taken) -> int:
    return next((point.time_unix_nano for _, _, point in aws.points(taken.message)), 0)


def _items(stand_in: Aws, path: str) -> Iterator[Message]:
    """Our spans, our records."""
    for taken in stand_in.of(path):
        for resource in taken.message.resource_spans if path == "/v1/traces" else taken.message.resource_logs:
            for scope in resource.scope_spans if path == "/v1/traces" else resource.scope_logs:
                if scope.scope.name == "real":
                    yield from scope.spans if path == "/v1/traces" else scope.log_records


def _ids(stand_in: Aws, path: str) -> list[str]:
    """The names of our spans, the bodies of our records."""
    return [item.name if path == "/v1/traces" else item.body.string_value for item in _items(stand_in, path)]


def _count(stand_in: Aws, path: str) -> int:
    return len(_ids(stand_in, path))


def _once(ids: list[str], expected: int) -> list[str]:
    wanted = {str(number) for number in range(expected)}
    twice = len(ids) - len(set(ids))
    lacking = wanted - set(ids)
    return ([f"{twice} arrived twice"] if twice else []) + ([f"{len(lacking)} are missing"] if lacking else [])


def _enrich(span: Message, number: int) -> None:
    """Sets every field that a span has, with the values that JSON likes least."""
    span.parent_span_id, span.trace_state, span.kind, span.flags = b"\xff" * 8, "a=b", 1 + number % 5, 0x301
    span.dropped_attributes_count = span.dropped_events_count = span.dropped_links_count = 2**32 - 1
    span.status.code, span.status.message = 2, 'quoted "words" \u00e9 \u2028'
    value = span.attributes.add(key="list").value.array_value.values
    value.add().string_value = ""
    value.add().int_value = -(2**63) + number
    value.add().double_value = 1e-300
    value.add().bool_value = False
    value.add().bytes_value = bytes(range(number % 256))
    inner = value.add().kvlist_value.values.add(key="inner").value
    inner.int_value = 2**53 + 1
    event = span.events.add(time_unix_nano=2**63, name="event", dropped_attributes_count=1)
    event.attributes.add(key="k").value.string_value = "v"
    link = span.links.add(trace_id=b"\x01" * 16, span_id=b"\xab" * 8, trace_state="c=d", flags=1)
    link.attributes.add(key="k").value.double_value = 0.1


def _offer(port: int) -> None:
    """Sends spans and records in a few large requests, more than one of CloudWatch's may hold."""
    now = time.time_ns()
    spans = ExportTraceServiceRequest()
    scope = spans.resource_spans.add().scope_spans.add()
    scope.scope.name = "real"
    for number in range(SPANS):
        span = scope.spans.add(name=str(number), start_time_unix_nano=now, end_time_unix_nano=now + 1)
        span.trace_id, span.span_id = number.to_bytes(16, "big"), (number + 1).to_bytes(8, "big")
        if number < RICH:
            _enrich(span, number)
    logs = ExportLogsServiceRequest()
    scope = logs.resource_logs.add().scope_logs.add()
    scope.scope.name = "real"
    for number in range(RECORDS):
        scope.log_records.add(time_unix_nano=now).body.string_value = str(number)
    for path, message in (("traces", spans), ("logs", logs)):
        headers = {"content-type": "application/x-protobuf"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/{path}", message.SerializeToString(), headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            answer.read()
