"""Files by https; the server is one of this machine, which may be asked without encryption."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from d2f import D2FError, Exit, Weights
from d2f.weights import read_weights, write_weights
from d2f.weights.fetch import Silent, pull_weights
from tests.unit.weights.fetching.server import Server

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
