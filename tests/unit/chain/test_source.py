"""Chain files on disk, and YAML read strictly: what is read, where each part stands, what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f import D2FError
from d2f.api.errors import Place
from d2f.chain.yaml import MAX_BYTES, MAX_DEPTH, ChainSource, Span, parse, read_text, text_of


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


class TestPlacesOfSpans:
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


# YAML read strictly: what is refused, what each part means, and where it stands.


def read(text: str) -> ChainSource:
    source, problems = parse(text_of("chain.yaml", text))
    assert problems == []
    assert source is not None
    return source


def codes(text: str) -> list[str]:
    return [problem.code for problem in parse(text_of("chain.yaml", text))[1]]


class TestMeaning:
    def test_core_schema(self) -> None:
        text = (
            "{a: on, b: 1e-4, c: 0o17, d: ~, e: 'true', f: !, g: 0x1F, h: 1_000, i: 2026-11-21, j: 007, k: .5, l: +3}"
        )
        data = read(text.replace("f: !, ", "")).data
        assert data == {
            "a": "on", "b": 0.0001, "c": 15, "d": None, "e": "true", "g": 31,
            "h": "1_000", "i": "2026-11-21", "j": 7, "k": 0.5, "l": 3,
        }  # fmt: skip

    def test_keys_are_text(self) -> None:
        assert list(read("on: 1\n1: 2\nnull: 3\n1.50: 4\n").data) == ["on", "1", "null", "1.50"]

    def test_text_of_several_lines(self) -> None:
        data = read('a: >\n  one\n  two\nb: |\n  one\n  two\nc: one\n  two\nd: "one\\\n  two"\n').data
        assert data == {"a": "one two\n", "b": "one\ntwo\n", "c": "one two", "d": "onetwo"}

    def test_a_byte_order_mark_and_windows_line_ends_change_nothing(self) -> None:
        plain = read("a: 1\nb: [x]\n")
        other = read("\ufeffa: 1\r\nb: [x]\r\n")
        assert other.data == plain.data
        assert other.value(("b", 0)) == plain.value(("b", 0))

    # JSON is YAML, but for keys of more than 1024 characters.
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=40), inner, max_size=4),
            max_leaves=12,
        )
    )
    def test_json(self, value: Any) -> None:
        source = read(json.dumps({"value": value}, ensure_ascii=True))
        assert source.data == {"value": value}


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a: 1\na: 2\n", ["D2F101"]),
            ('a: 1\n"a": 2\n', ["D2F101"]),
            ("{a: 1, a: 2, a: 3}", ["D2F101", "D2F101"]),
            ("a: &x 1\n", ["D2F102"]),
            ("a: &x !t 1\n", ["D2F102", "D2F102"]),
            ("a: *x\n", ["D2F102"]),
            ("<<: {a: 1}\n", ["D2F102"]),
            ('"<<": 1\n', []),
            ("a: !!python/object:os.system x\n", ["D2F102"]),
            ("? [a]\n: 1\n", ["D2F102"]),
            ("a: 1\n---\nb: 2\n---\nc: 3\n", ["D2F102"]),
            ("---\na: 1\n...\n", []),
            ("%YAML 1.2\n---\na: 1\n", ["D2F102"]),
            ("", ["D2F107"]),
            ("# nothing\n", ["D2F107"]),
            ("~", ["D2F107"]),
            ("text", ["D2F107"]),
            ("[1]", ["D2F107"]),
            ("a: [1", ["D2F100"]),
            ("a: 'x", ["D2F100"]),
            ("a: \x07", ["D2F100"]),
            ("a: \x00", ["D2F100"]),
            ("a: \ud800", ["D2F100"]),
            ('a: "\\U00110000"', ["D2F100"]),
            ('a: "\\xzz"', ["D2F100"]),
            ('a: "\\ud83d"', ["D2F100"]),
            ('a: "\\ude00\\ud83d"', ["D2F100"]),
        ],
    )
    def test_codes(self, text: str, expected: list[str]) -> None:
        assert codes(text) == expected

    def test_both_lines_of_a_key_are_named(self) -> None:
        _, problems = parse(text_of("chain.yaml", "a: 1\nb: 2\na: 3\n"))
        assert problems[0].message == "the key 'a' stands in line 1 and again in line 3"
        assert problems[0].place is not None
        assert (problems[0].place.line, problems[0].place.column) == (3, 1)

    def test_aliases_are_not_expanded(self) -> None:
        lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
        source, problems = parse(text_of("chain.yaml", "\n".join(lines)))
        assert source is not None
        assert source.data["a19"] == [None] * 9
        assert {problem.code for problem in problems} == {"D2F102"}

    @pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "a:\n ", "? "])
    def test_nesting_is_bounded(self, opening: str) -> None:
        text = opening * 5000
        if opening == "a:\n ":
            text = "".join(f"{' ' * depth}a:\n" for depth in range(2000))
        source, problems = parse(text_of("chain.yaml", text))
        assert source is None
        assert problems[0].message == f"nested deeper than {MAX_DEPTH} levels"

    def test_a_number_of_a_million_digits_costs_no_time(self) -> None:
        source = read("a: " + "9" * (MAX_BYTES - 10))
        assert source.data == {"a": float("inf")}

    @given(st.text(alphabet=st.sampled_from("ab:-?[]{}&*!|>'\"%#,\\~<. \n\t\r0é\x85\u2028\ufeff"), max_size=40))
    def test_any_text_is_read_or_refused_with_a_place(self, text: str) -> None:
        source, problems = parse(text_of("chain.yaml", text))
        assert source is not None or problems
        for problem in problems:
            str(problem)
        if source is not None:
            for span in (*source.values.values(), *source.keys.values()):
                assert 0 <= span.start <= span.end <= len(source.text.text)


class TestPlacesOfPaths:
    TEXT = """\
d2f: 1
views:
  a: [{use: "wi", with: {window: 7}}]
  b:
    - use: x
      with:
empty:
long: |
  one
näme: {日本語: "ä", b: 2}
"""

    @pytest.mark.parametrize(
        ("path", "line", "token"),
        [
            (("d2f",), 1, "1"),
            (("views",), 2, "views"),
            (("views", "a"), 3, '[{use: "wi", with: {window: 7}}]'),
            (("views", "a", 0, "use"), 3, '"wi"'),
            (("views", "a", 0, "with", "window"), 3, "7"),
            (("views", "b"), 4, "b"),
            (("views", "b", 0), 5, "use"),
            (("views", "b", 0, "use"), 5, "x"),
            (("views", "b", 0, "with"), 6, "with"),
            (("views", "b", 0, "with", "no", "such", "key"), 6, "with"),
            (("views", "c"), 2, "views"),
            (("empty",), 7, "empty"),
            (("long",), 8, "|"),
            (("näme", "日本語"), 10, '"ä"'),
            (("näme", "b"), 10, "2"),
            ((), 1, "d2f"),
        ],
    )
    def test_values(self, path: tuple[str | int, ...], line: int, token: str) -> None:
        place = read(self.TEXT).value(path)
        assert (place.line, underlined(place)) == (line, token)
        assert place.source == self.TEXT.splitlines()[line - 1]

    @pytest.mark.parametrize(
        ("text", "line", "column"),
        [
            ('d2f: 1\nname: "toy\n---\n', 2, 7),
            ("d2f: 1\nname\ndetectors: [a]\n", 2, 1),
            ("d2f: 1\nviews: [a, b\nname: x\n", 3, 5),
            ("a: 1\n\tb: 2\n", 2, 1),
            ("a: @x\n", 1, 4),
            ("a:\n  - b\n c: d\n", 3, 2),
        ],
    )
    def test_what_stopped_the_parser(self, text: str, line: int, column: int) -> None:
        # A quote and a key without its colon are shown where they begin, the rest where the parser stopped.
        _, problems = parse(text_of("chain.yaml", text))
        assert problems[0].place is not None
        assert (problems[0].place.line, problems[0].place.column) == (line, column)

    def test_keys(self) -> None:
        place = read(self.TEXT).key(("views", "a", 0, "with", "window"))
        assert (place.line, underlined(place), place.path) == (3, "window", "views.a[0].with.window")

    @pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029"])
    def test_only_line_feeds_end_lines(self, separator: str) -> None:
        place = read(f'a: "x{separator}y"\nb: 2\n').value(("b",))
        assert (place.line, place.column) == (2, 4)


def underlined(place: Place) -> str:
    return place.source[place.column - 1 :][: place.width]
