"""Outputs opened: what is refused, what is made, what a full disk says."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from d2f.api.errors import D2FError, Exit
from d2f.output import Format, Writer, choose_format, open_writer
from tests.unit.output.made import GENERATED, HEAD

ALL: tuple[Format, ...] = ("table", "jsonl", "csv", "parquet")


def refused(path: Path | str, format: Format, mode: str = "new") -> str:
    with pytest.raises(D2FError) as caught:
        open_writer(str(path), format, HEAD, mode)  # type: ignore[arg-type]
    assert caught.value.exit == Exit.USAGE
    return str(caught.value)


def _write_and_close(writer: Writer) -> None:
    try:
        writer.write(GENERATED)
    finally:
        writer.close()


@pytest.mark.parametrize("format", ALL)
def test_what_holds_something_is_refused_then_replaced(format: Format, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    for _ in range(2):
        writer = open_writer(str(path), format, HEAD, "overwrite")
        writer.write(GENERATED)
        writer.close()
    assert refused(path, format) == (
        f"error[D2F004]: '{path}' already exists\n"
        "   = to continue it: --resume; to replace it: --overwrite; or choose another file with -o"
    )
    if format == "jsonl":
        assert path.read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("format", ALL)
def test_an_empty_file_or_folder_is_taken(format: Format, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.mkdir() if format == "parquet" else path.touch()
    writer = open_writer(str(path), format, HEAD)
    writer.write(GENERATED)
    writer.close()


@pytest.mark.parametrize("format", ALL)
def test_a_missing_folder_is_named(format: Format, tmp_path: Path) -> None:
    path = tmp_path / "no" / "rows"
    assert refused(path, format) == (
        f"error[D2F004]: '{path}' cannot be written: its folder does not exist\n   = make it with mkdir -p"
    )


def test_folder_and_file_are_not_mixed_up(tmp_path: Path) -> None:
    assert "Is a directory" in refused(tmp_path, "jsonl")
    (tmp_path / "file").write_text("x")
    assert "already exists" in refused(tmp_path / "file", "parquet")
    assert "already exists" in refused(tmp_path / "file", "parquet", "overwrite")


@pytest.mark.parametrize("mode", ["new", "overwrite", "resume"])
def test_a_folder_of_photographs_is_never_emptied(mode: str, tmp_path: Path) -> None:
    (tmp_path / "IMG_0001.jpg").write_bytes(b"precious")
    text = refused(tmp_path, "parquet", mode)
    assert "is a folder that holds something other than Parquet parts: 'IMG_0001.jpg'" in text
    assert (tmp_path / "IMG_0001.jpg").read_bytes() == b"precious"


def test_a_table_and_the_standard_output_cannot_be_resumed(tmp_path: Path) -> None:
    assert "only a file of rows can be resumed" in refused(tmp_path / "rows.txt", "table", "resume")
    with pytest.raises(D2FError, match=r"give -o FILE with --format jsonl\|csv\|parquet"):
        open_writer(None, "jsonl", HEAD, "resume")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
@pytest.mark.parametrize("format", ["table", "jsonl", "csv"])
def test_a_full_disk_is_said_so(format: Format) -> None:
    writer = open_writer("/dev/full", format, HEAD)
    with pytest.raises(D2FError) as caught:
        _write_and_close(writer)
    assert str(caught.value).startswith("error[D2F004]: '/dev/full' cannot be written: No space left on device")
    assert caught.value.exit == Exit.SOME_FAILED


def test_a_row_that_did_not_fit_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    writer = open_writer(str(path), "jsonl", HEAD)
    writer.write(GENERATED)
    whole = path.read_bytes()

    class FullAfterTen:
        def write(self, data: memoryview) -> int:
            if len(data) < 10 or path.stat().st_size > len(whole):
                raise OSError(errno.ENOSPC, "No space left on device")
            return raw.write(data[:10])

        def __getattr__(self, name: str) -> object:
            return getattr(raw, name)

    raw, writer._file._file = writer._file._file, FullAfterTen()  # type: ignore[attr-defined]
    with pytest.raises(D2FError, match="repeat the command with --resume"):
        writer.write(GENERATED)
    assert path.read_bytes() == whole
    raw.close()


def test_a_part_that_did_not_fit_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet

    def full(_table: object, where: Path, **_: object) -> None:
        where.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pyarrow.parquet, "write_table", full)
    writer = open_writer(str(tmp_path / "rows"), "parquet", HEAD)
    writer.write(GENERATED)
    with pytest.raises(D2FError, match="No space left on device") as caught:
        writer.close()
    assert caught.value.exit == Exit.SOME_FAILED
    assert list((tmp_path / "rows").iterdir()) == []


def test_a_named_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    writer = open_writer(str(tmp_path / "pipe"), "csv", HEAD)
    writer.write(GENERATED)
    writer.close()
    reader.join(10)
    assert got[0].count(b"\n") == 2


@pytest.mark.parametrize(
    ("path", "wanted", "chosen"),
    [
        (None, None, "table"),
        (None, "csv", "csv"),
        ("rows.JSONL", None, "jsonl"),
        ("rows.ndjson", None, "jsonl"),
        ("a.b/rows.csv", None, "csv"),
        ("rows.parquet", None, "parquet"),
        ("rows.txt", None, "table"),
        ("rows.csv", "jsonl", "jsonl"),
    ],
)
def test_choose_format(path: str | None, wanted: Format | None, chosen: Format) -> None:
    assert choose_format(path, wanted) == chosen


def test_choose_format_refuses_what_says_nothing() -> None:
    with pytest.raises(D2FError, match=r"no format goes with the name 'rows\.xlsx'"):
        choose_format("rows.xlsx", None)
    with pytest.raises(D2FError, match="name it with -o FOLDER"):
        choose_format(None, "parquet")
