"""Files, pickles and calls of a block are seen; those of imports and of other threads are not."""

from __future__ import annotations

import pickle
import socket
import sys
import threading
from pathlib import Path

import pytest

from d2f.testing.report import watched


def test_files_and_pickles_are_seen(tmp_path: Path) -> None:
    with watched() as seen:
        (tmp_path / "a").write_bytes(b"")
        pickle.loads(pickle.dumps(Path))
    assert seen.opened == [str(tmp_path / "a")]
    assert any(name.endswith(".Path") for name in seen.unpickled)


def test_hosts_are_seen() -> None:
    with watched() as seen, socket.socket() as one:
        one.settimeout(0.2)
        one.connect_ex(("127.0.0.1", 9))
    assert seen.called == ["('127.0.0.1', 9)"]


def test_imports_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d2f_reads_at_import.py").write_text("with open(__file__) as file:\n    TEXT = file.read()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with watched() as seen:
        import d2f_reads_at_import  # type: ignore[import-not-found]
    del sys.modules["d2f_reads_at_import"]
    assert d2f_reads_at_import.TEXT
    assert seen.opened == []


def test_other_threads_are_not(tmp_path: Path) -> None:
    with watched() as seen:
        thread = threading.Thread(target=(tmp_path / "a").write_bytes, args=(b"",))
        thread.start()
        thread.join()
    assert seen.opened == []


def test_nothing_after_the_block_and_outer_ones_go_on(tmp_path: Path) -> None:
    with watched() as outer:
        with watched() as inner:
            (tmp_path / "a").write_bytes(b"")
        (tmp_path / "b").write_bytes(b"")
    (tmp_path / "c").write_bytes(b"")
    assert [Path(path).name for path in inner.opened] == ["a"]
    assert [Path(path).name for path in outer.opened] == ["b"]
