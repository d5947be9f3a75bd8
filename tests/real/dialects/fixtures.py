"""Makes what was captured the same on every machine, and nothing else."""

import re
from hashlib import sha256
from pathlib import Path

# All captures begin at this moment.
BEGAN_NANOS = 1_790_000_000 * 10**9

# What a resource may say; all else would tell of the machine.
KEPT = re.compile(r"service\.name$|service\.version$|telemetry\.|deployment\.|gen_ai\.|openinference\.")
IDS = ("traceId", "spanId", "parentSpanId")
# A traceback tells of packages' files; its last line says what is wrong.
TRACEBACK = re.compile(r"(Traceback \(most recent call last\):).*\n(?=\S)", re.DOTALL)
HERE = Path(__file__).resolve().parent


def cleaned(emitter: str, requests: list[dict], environments: dict[str, Path], ports: dict[int, int]) -> list[dict]:
    """The requests with new ids, with times that begin at one moment, and without what tells of this machine."""
    times = sorted(_times(requests))
    shift = BEGAN_NANOS - times[0] if times else 0
    # Longest first: a folder may lie in another.
    folders = {str(path): "/venv" for path in environments.values()} | {str(HERE): "/app", str(Path.home()): "/root"}
    paths = dict(sorted(folders.items(), key=lambda pair: -len(pair[0])))
    cleaner = _Cleaner(emitter, shift, paths, ports)
    return [cleaner.clean(each) for each in requests]


def _times(value: object) -> list[int]:
    if isinstance(value, list):
        return [time for each in value for time in _times(each)]
    if isinstance(value, dict):
        mine = [int(each) for key, each in value.items() if key.endswith("UnixNano") and int(each) > 0]
        return mine + [time for each in value.values() for time in _times(each)]
    return []


class _Cleaner:
    def __init__(self, emitter: str, shift: int, paths: dict[str, str], ports: dict[int, int]) -> None:
        self._emitter, self._shift, self._paths, self._ports = emitter, shift, paths, ports
        self._ids: dict[str, str] = {}

    def clean(self, value: object) -> object:
        """A value of the request, cleaned."""
        if isinstance(value, list):
            return [self.clean(each) for each in value]
        if isinstance(value, str):
            return self._text(value)
        if not isinstance(value, dict):
            return value
        return {key: self._field(key, each) for key, each in value.items()}

    def _field(self, key: str, value: object) -> object:
        if key.endswith("UnixNano") and int(value) > 0:
            return str(int(value) + self._shift)
        if key == "resource":
            pairs = [each for each in value.get("attributes", []) if KEPT.match(each["key"])]
            return {"attributes": [self.clean(each) for each in pairs]}
        if key in IDS and value:
            return self._id(value)
        if key == "intValue" and int(value) in self._ports:
            return str(self._ports[int(value)])
        return self.clean(value)

    def _id(self, was: str) -> str:
        """Another id, by the emitter and the order in which ids come, so that a new capture changes few lines."""
        if was not in self._ids:
            new = sha256(f"{self._emitter} {len(self._ids)}".encode()).hexdigest()
            self._ids[was] = new[: len(was)]
        return self._ids[was]

    def _text(self, text: str) -> str:
        text = TRACEBACK.sub(r"\1\n  ...\n", text)
        for path, shown in self._paths.items():
            text = text.replace(path, shown)
        for was, new in self._ids.items():
            text = text.replace(was, new)
        for port, shown in self._ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{shown}")
        return text
