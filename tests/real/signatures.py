"""Our signatures for AWS against those of botocore, AWS's own signer, on many requests made by chance."""

import datetime
import json
import random
import re
import subprocess
from pathlib import Path
from unittest import mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.loaders

import wattline
from checks import Checks

REQUESTS = 5000
SEED = 20_260_824

# What is signed beside the body: for OTLP a type; for other calls a target, too.
TYPES = ["application/x-protobuf", "application/json", "application/x-amz-json-1.1", "text/plain; charset=utf-8"]
SERVICES = ["monitoring", "logs", "xray", "sts"]
PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"


def play(checks: Checks, _folder: Path) -> None:
    """Plays the scene."""
    with checks.of("signatures"):
        chance = random.Random(SEED)
        requests = [_request(chance) for _ in range(REQUESTS)]
        ours = _ours(requests)
        faults = [f"{len(ours)} answers to {REQUESTS} requests"] if len(ours) != REQUESTS else []
        for request, signed in zip(requests, ours, strict=False):
            expected = _botocores(request)
            if signed != expected:
                faults.append(f"{json.dumps(request)}\nours     {signed}\nbotocore {expected}")
        checks.that(f"{REQUESTS} requests are signed as botocore signs them", faults)
        checks.that("each region of botocore's stands under our domain of its partition", _misplaced())


def _request(chance: random.Random) -> dict:
    def text(letters: str, most: int, least: int = 0) -> str:
        return "".join(chance.choice(letters) for _ in range(chance.randint(least, most)))

    def encoded(most: int) -> str:
        # No part is `.` or `..`: what reads an address resolves them before anybody signs it.
        first = chance.choice(PLAIN[:62])
        return first + "".join(chance.choice([*PLAIN, "%20", "%2F", "%C3%A9", "%25"]) for _ in range(most))

    path = "/" + "/".join(encoded(chance.randint(0, 12)) for _ in range(chance.randint(0, 4)))
    query = "&".join(f"{text(PLAIN, 8, 1)}={text(PLAIN, 8)}" for _ in range(chance.choice([0, 0, 1, 3])))
    host = chance.choice(["monitoring.eu-west-1.amazonaws.com", "h"])
    port = chance.choice(["", "", ":8443"])
    headers = [("content-type", chance.choice(TYPES))]
    if chance.random() < 0.3:
        headers.append(("x-amz-target", f"Logs_20140328.{text(PLAIN, 20, 1)}"))
    if chance.random() < 0.2:
        headers.append(("x-other", "  a   b" + text(PLAIN + " ", 20) + " "))
    return {
        "access_key": "AKIA" + text(PLAIN[26:62], 16, 16),
        "secret_key": text(PLAIN + "/+", 40, 1),
        "token": text(PLAIN + "/+=", 400, 1) if chance.random() < 0.5 else None,
        "region": chance.choice(["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"]),
        "service": chance.choice(SERVICES),
        "url": f"https://{host}{port}{path}{'?' + query if query else ''}",
        "headers": headers,
        "body": list(chance.randbytes(chance.choice([0, 1, 64, 3000]))),
        "time": chance.randint(1_000_000_000, 4_000_000_000),
    }


def _ours(requests: list[dict]) -> list[dict[str, str]]:
    signer = wattline.binary().parent / "examples" / "sign"
    text = "".join(json.dumps(request) + "\n" for request in requests)
    printed = subprocess.run([signer], input=text, check=True, capture_output=True, timeout=120, text=True)
    return [json.loads(line) for line in printed.stdout.splitlines()]


def _botocores(request: dict) -> dict[str, str]:
    credentials = botocore.credentials.Credentials(request["access_key"], request["secret_key"], request["token"])
    whole = botocore.awsrequest.AWSRequest(
        "POST", request["url"], data=bytes(request["body"]), headers=dict(request["headers"])
    )
    now = datetime.datetime.fromtimestamp(request["time"], datetime.UTC).replace(tzinfo=None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        botocore.auth.SigV4Auth(credentials, request["service"], request["region"]).add_auth(whole)
    names = ("authorization", "x-amz-date", "x-amz-security-token")
    return {name: whole.headers[name] for name in names if name in whole.headers}


def _misplaced() -> list[str]:
    """Regions whose domain is another than that of the table in place.rs."""
    source = (wattline.ROOT / "collector" / "aws" / "src" / "place.rs").read_text()
    rows = source.split("const PARTITIONS", 1)[1].split("= [", 1)[1].split("];", 1)[0]
    prefixes: list[tuple[str, str]] = re.findall(r'\("([a-z-]+)", "([a-z0-9.-]+)"\)', rows)
    partitions = botocore.loaders.Loader().load_data("partitions")["partitions"]
    faults = []
    for partition in partitions:
        for region in partition["regions"]:
            if region.endswith("-global"):
                continue
            ours = next((suffix for prefix, suffix in prefixes if region.startswith(prefix)), "amazonaws.com")
            if ours != partition["outputs"]["dnsSuffix"]:
                faults.append(f"{region}: {ours} instead of {partition['outputs']['dnsSuffix']}")
    return faults
