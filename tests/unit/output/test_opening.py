"""Outputs opened and continued: what is refused, what is made; no row lost, none doubled."""

from __future__ import annotations

import errno
import json
import os
import re
import threading
from pathlib import Path

import pytest

from d2f.api.errors import D2FError, Exit
from d2f.api.rows import Row
from d2f.output import Done, Format, Head, Writer, append, choose_format, open_writer
from d2f.output import parquet as parquet_parts
from d2f.output.lines import json_line
from tests.unit.output.made import GENERATED, HEAD, MEMBERS, NASTY_NAMES, OTHER, ROWS, named

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


# What a killed run leaves is continued: no row lost, none doubled, nothing of a stranger's cut.

LINES: tuple[Format, ...] = ("jsonl", "csv")
RESUMABLE: tuple[Format, ...] = ("jsonl", "csv", "parquet")
MANY = tuple(named(name) for name in NASTY_NAMES) + ROWS


def write(path: Path, format: Format, rows: tuple[Row, ...], mode: str = "new", head: Head = HEAD) -> list[Row]:
    seen: list[Row] = []
    writer = open_writer(str(path), format, head, mode, seen.append)  # type: ignore[arg-type]
    for row in rows[len(seen) :]:
        writer.write(row)
    writer.close()
    return seen


def refused_to_resume(path: Path, format: Format, head: Head = HEAD) -> D2FError:
    with pytest.raises(D2FError) as caught:
        write(path, format, MANY, "resume", head)
    return caught.value


@pytest.mark.parametrize("format", LINES)
def test_cut_anywhere_it_is_continued_to_the_same_bytes(format: Format, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    write(whole, format, MANY)
    data = whole.read_bytes()
    # Every cut of a stretch that holds a character of several bytes and a quoted line end, and every 97th.
    lively = data.index("🦊".encode()) - 20
    for cut in sorted({*range(lively, lively + 50), *range(len(data) - 10, len(data) + 1), *range(0, len(data), 97)}):
        torn = tmp_path / "torn"
        torn.write_bytes(data[:cut])
        seen = write(torn, format, MANY, "resume")
        assert torn.read_bytes() == data, f"cut at byte {cut}"
        assert seen == list(MANY[: len(seen)])


@pytest.mark.parametrize("format", LINES)
def test_rows_that_were_whole_are_kept(format: Format, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, format, MANY[:5])
    path.write_bytes(path.read_bytes()[:-1])
    assert len(write(path, format, MANY, "resume")) == 4


def test_parquet_keeps_its_parts_and_drops_one_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_parts, "PART_ROWS", 5)
    folder = tmp_path / "rows.parquet"
    writer = open_writer(str(folder), "parquet", HEAD)
    for row in MANY[:8]:
        writer.write(row)
    # Killed here: three rows are in memory, a fourth part is half on disk.
    (folder / ".part-00001.parquet.tmp").write_bytes(b"PAR1half")
    assert [part.name for part in sorted(folder.iterdir())] == [".part-00001.parquet.tmp", "part-00000.parquet"]
    writer._folder.close()  # type: ignore[attr-defined]
    assert write(folder, "parquet", MANY, "resume") == list(MANY[:5])
    assert [part.name for part in sorted(folder.iterdir())] == [f"part-0000{n}.parquet" for n in range(3)]
    assert write(folder, "parquet", MANY, "resume") == list(MANY)


def test_parts_come_by_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(parquet_parts.time, "monotonic", lambda: clock[0])
    writer = open_writer(str(tmp_path / "rows"), "parquet", HEAD)
    closed_at = []
    for second in range(200):
        clock[0] = second
        writer.write(GENERATED)
        if len(list((tmp_path / "rows").iterdir())) > len(closed_at):
            closed_at.append(second)
    assert closed_at == [1, 3, 7, 15, 31, 63, 123, 183]
    writer.close()


@pytest.mark.parametrize("format", RESUMABLE)
def test_another_chain_is_refused_and_nothing_changed(format: Format, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, format, ROWS)
    before = [file.read_bytes() for file in sorted(path.iterdir())] if path.is_dir() else path.read_bytes()
    error = refused_to_resume(path, format, OTHER)
    assert str(error) == (
        f"error[D2F005]: '{path}' holds rows of another chain (digest 3f9a12c03f9a, this chain's is beefbeefbeef)\n"
        "   = two chains' verdicts do not belong in one file: choose another file with -o, "
        "or replace this one with --overwrite"
    )
    assert error.exit == Exit.USAGE
    after = [file.read_bytes() for file in sorted(path.iterdir())] if path.is_dir() else path.read_bytes()
    assert before == after


def test_columns_of_another_chain_are_refused_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write(path, "csv", ())
    assert refused_to_resume(path, "csv", Head("robust", HEAD.digest, MEMBERS[:1])).problems[0].code == "D2F005"
    write(tmp_path / "parts", "parquet", ())
    assert refused_to_resume(tmp_path / "parts", "parquet", OTHER).problems[0].code == "D2F005"


@pytest.mark.parametrize(
    ("format", "content", "why"),
    [
        ("jsonl", b"dear diary", "its last line is not the beginning of a row"),
        ("jsonl", b"dear diary\n", "line 1: Expecting value: line 1 column 1 (char 0)"),
        ("jsonl", b'{"path": "a"}\n', "line 1: not a row of d2f: 'notes'"),
        ("jsonl", b"[1]\n", "line 1: not a row of d2f: list indices must be integers or slices, not str"),
        ("jsonl", b"\xff\xfe\n", "line 1: 'utf-8' codec can't decode byte 0xff in position 0"),
        ("csv", b"dear diary", "it does not begin with the columns of a result"),
        ("csv", b"name,age\nme,7\n", "at byte 0: it does not begin with the columns of a result"),
        ("csv", b'a "quote\n', "it does not begin with the columns of a result"),
        ("csv", b"\xff\n", "at byte 0: 'utf-8' codec can't decode byte 0xff in position 0"),
    ],
)
def test_a_strange_file_is_refused_and_kept(format: Format, content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "diary"
    path.write_bytes(content)
    error = refused_to_resume(path, format)
    assert str(error).startswith(f"error[D2F006]: '{path}' cannot be resumed: {why}")
    assert error.exit == Exit.USAGE
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("column", "value", "why"), [("path", 7, "path is 7, not text"), ("verdict", "x", "unknown verdict 'x'")]
)
def test_a_line_of_a_wrong_value_is_refused(column: str, value: object, why: str, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text(json.dumps({**json.loads(json_line(ROWS[0])), column: value}) + "\n", "utf-8")
    assert str(refused_to_resume(path, "jsonl")).startswith(
        f"error[D2F006]: '{path}' cannot be resumed: line 1: not a row of d2f: {why}"
    )


@pytest.mark.parametrize("format", LINES)
def test_a_row_changed_in_the_middle_is_refused(format: Format, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write(path, format, ROWS)
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, second[: len(second) // 2], b"\n", *rest]))
    assert refused_to_resume(path, format).problems[0].code == "D2F006"


def test_a_long_tail_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write(path, "csv", ROWS)
    content = path.read_bytes() + b'"' + b"precious\n" * (1 << 21)
    path.write_bytes(content)
    assert "a record of more than 16 MiB follows byte" in str(refused_to_resume(path, "csv"))
    assert path.stat().st_size == len(content)


def test_a_short_tail_of_a_long_file_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.csv"
    write(path, "csv", MANY)
    content = path.read_bytes()
    path.write_bytes(content + b'"torn')
    monkeypatch.setattr(append, "LARGEST_RECORD", len(content) // 2)
    assert write(path, "csv", MANY, "resume") == list(MANY)
    assert path.read_bytes() == content


def test_a_part_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    write(folder, "parquet", ROWS)
    (folder / "part-00000.parquet").write_bytes(b"PAR1 no more PAR1")
    error = refused_to_resume(folder, "parquet")
    assert error.problems[0].code == "D2F006"
    assert "part-00000.parquet" in str(error)


@pytest.mark.parametrize("format", RESUMABLE)
def test_resuming_what_is_not_there_starts_it(format: Format, tmp_path: Path) -> None:
    assert write(tmp_path / "rows", format, MANY, "resume") == []
    assert write(tmp_path / "rows", format, MANY, "resume") == list(MANY)


@pytest.mark.parametrize("format", RESUMABLE)
def test_two_runs_cannot_write_one_output(format: Format, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    first = open_writer(str(path), format, HEAD)
    with pytest.raises(D2FError, match=re.escape(f"another run is writing '{path}'")):
        open_writer(str(path), format, HEAD, "resume")
    first.write(GENERATED)
    first.close()
    assert write(path, format, ROWS, "resume") == [GENERATED]


def test_done_knows_what_was_put_in() -> None:
    done = Done()
    for path in ("a", "b", "a", "caf\udce9"):
        done.add(path)
    assert len(done) == 4
    assert [path in done for path in ("a", "c", "a", "b", "caf\udce9", "caf\ufffd")] == [
        True,
        False,
        True,
        True,
        True,
        False,
    ]
    assert "a" not in Done()


def test_done_keys_agree_with_what_was_written(tmp_path: Path) -> None:
    names = [*NASTY_NAMES, "caf\udce9.jpg"]
    for format in RESUMABLE:
        write(tmp_path / format, format, tuple(named(name) for name in names))
        done = Done()
        open_writer(str(tmp_path / format), format, HEAD, "resume", lambda row, done=done: done.add(row.path)).close()
        assert all(name in done for name in names)


def test_done_takes_16_bytes_a_row() -> None:
    done = Done()
    for number in range(50_000):
        done.add(f"photos/{number}.jpg")
    assert "photos/7.jpg" in done
    assert sum(len(numbers) * numbers.itemsize for numbers in (done._high, done._low)) == 16 * 50_000
    assert len(done._pending) == 0
