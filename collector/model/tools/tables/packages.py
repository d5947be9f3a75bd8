"""What the builders of tables share: fetching a package with its ordinary client, and writing a number."""

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def fetch(client, name, version, into):
    """Downloads one package by name with its ordinary client, once, and returns {path inside: bytes}."""
    into = Path(into) / f"{name.replace('/', '_')}-{version}"
    fetched = into.exists()
    into.mkdir(exist_ok=True)
    if client == "npm":
        if not fetched:
            command = ["npm", "pack", "--silent", f"{name}@{version}"]
            subprocess.run(command, cwd=into, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(into.glob("*.tgz"))) as archive:
            return {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}
    if not fetched:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "-d", str(into), f"{name}=={version}"], check=True)
    with zipfile.ZipFile(io.BytesIO(next(into.glob("*.whl")).read_bytes())) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def number(value):
    """Six digits at most, and no zeros behind the last that counts."""
    return f"{float(value):g}"
