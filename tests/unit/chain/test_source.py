"""Chain files on disk: what is read, and what is said of what cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from d2f import D2FError
from d2f.chain.yaml import MAX_BYTES, Span, read_text, text_of


def refused(path: str | Path) -> str:
    with pytest.raises(D2FError) as error:
        read_text(path)
    assert [problem.code for problem in error.value.problems] == ["D2F108"]
    return str(error.value)


def test_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfone\r\ntw\xc3\xb6\rthree\n")
    text = read_text(tmp_path / "a.yaml")
    assert text.text == "one\ntwö\nthree\n"
    assert text.file == str(tmp_path / "a.yaml")


def test_as_large_as_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"x" * MAX_BYTES)
    assert len(read_text(tmp_path / "a.yaml").text) == MAX_BYTES
    (tmp_path / "a.yaml").write_bytes(b"x" * (MAX_BYTES + 1))
    assert "more than 1,000,000 bytes" in refused(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("data", "byte", "line"), [(b"a\nb: \xff", "0xff", 2), (b"\x80", "0x80", 1), (b"\xc3", "0xc3", 1)]
)
def test_not_utf_8(tmp_path: Path, data: bytes, byte: str, line: int) -> None:
    (tmp_path / "a.yaml").write_bytes(data)
    assert f"byte {byte} in line {line}" in refused(tmp_path / "a.yaml")


def test_utf_16_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("d2f: 1\n", "utf-16")
    assert "is not UTF-8" in refused(tmp_path / "a.yaml")


def test_missing(tmp_path: Path) -> None:
    (tmp_path / "robust.yaml").touch()
    assert "did you mean" not in refused(tmp_path / "zzz.yaml")
    assert f"did you mean '{tmp_path / 'robust.yaml'}'?" in refused(tmp_path / "robst.yaml")
    refused(tmp_path / "no" / "such" / "folder" / "a.yaml")


def test_folder(tmp_path: Path) -> None:
    problem, note = refused(tmp_path).splitlines()
    assert problem.endswith("is a folder, not a chain file")
    assert note == "   = the chain comes first, then the images: d2f chain run CHAIN IMAGE"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nobody is kept from reading here")
def test_not_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch(mode=0)
    assert "cannot be read: Permission denied" in refused(tmp_path / "a.yaml")


def test_name_that_is_none() -> None:
    assert "cannot be read: " in refused("a\0b.yaml")


def test_name_too_long() -> None:
    assert "cannot be read: " in refused("a" * 5000 + ".yaml")


class TestPlaces:
    TEXT = text_of("a.yaml", "one\n  two three\n\nfour")

    @pytest.mark.parametrize(
        ("span", "line", "column", "width"),
        [
            (Span(0, 3), 1, 1, 3),
            (Span(6, 9), 2, 3, 3),
            (Span(6, 20), 2, 3, 9),
            (Span(16, 16), 3, 1, 1),
            (Span(17, 21), 4, 1, 4),
            (Span(21, 21), 4, 5, 1),
        ],
    )
    def test_place(self, span: Span, line: int, column: int, width: int) -> None:
        place = self.TEXT.place(span, "path")
        assert (place.line, place.column, place.width) == (line, column, width)
        assert place.source == ["one", "  two three", "", "four"][line - 1]
