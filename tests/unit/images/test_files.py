"""What a user may name, and the order in which images come out."""

from __future__ import annotations

import io
import os
import sys
import tracemalloc
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from d2f.api.errors import D2FError
from d2f.images.files import entries, find_images, walk


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of empty files, which is also the current one."""
    for name in (
        "b.jpg",
        "a.PNG",
        "note.txt.bak",
        ".hidden.jpg",
        "c/d.webp",
        "c/e/f.heic",
        "c/e/readme.md",
        ".cache/g.jpg",
        "z.tiff",
        "h.dat",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*paths: str) -> list[str]:
    return list(find_images(paths))


def test_folder_is_searched_in_the_order_of_names(tree: Path) -> None:
    assert found(str(tree)) == [str(tree / name) for name in ("a.PNG", "b.jpg", "c/d.webp", "c/e/f.heic", "z.tiff")]
    assert found("c") == ["c/d.webp", "c/e/f.heic"]


def test_files_are_taken_whatever_their_suffix(tree: Path) -> None:
    assert found("h.dat", "b.jpg", "b.jpg") == ["h.dat", "b.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.jpg", ["b.jpg"]),
        ("*.dat", ["h.dat"]),
        ("*", ["a.PNG", "b.jpg", "c/d.webp", "c/e/f.heic", "z.tiff"]),
        ("[ab].*", ["a.PNG", "b.jpg"]),
        ("?.tiff", ["z.tiff"]),
        ("**", ["a.PNG", "b.jpg", "z.tiff", "c/d.webp", "c/e/f.heic"]),
        ("**/*.heic", ["c/e/f.heic"]),
        ("**/e/*", ["c/e/f.heic"]),
        ("c/**/*.webp", ["c/d.webp"]),
        ("*/e", ["c/e/f.heic"]),
        ("./c/*.webp", ["./c/d.webp"]),
    ],
)
def test_globs(tree: Path, pattern: str, names: list[str]) -> None:
    assert found(pattern) == names
    if not pattern.startswith("."):
        assert found(str(tree / pattern)) == [str(tree / name) for name in names]


def test_name_with_brackets_is_a_file_before_it_is_a_glob(tree: Path) -> None:
    (tree / "a[1].jpg").touch()
    assert found("a[1].jpg") == ["a[1].jpg"]


def test_all_that_is_missing_is_said_at_once(tree: Path) -> None:
    with pytest.raises(D2FError) as caught:
        find_images(["b.jpg", "nope.jpg", "nowhere/", "c"])
    assert [problem.code for problem in caught.value.problems] == ["D2F002", "D2F002"]
    assert caught.value.exit == 2


@pytest.mark.parametrize("paths", [[], ["empty"], ["*.nothing"], ["empty", "c/e/*.jpg"]])
def test_no_image(tree: Path, paths: list[str]) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(D2FError, match="D2F003"):
        find_images(paths)


def test_manifests_are_relative_to_themselves(tree: Path) -> None:
    (tree / "c/list.csv").write_text("label,path\nreal,d.webp\nreal,e/f.heic\nreal,\n", encoding="utf-8-sig")
    (tree / "c/list.txt").write_text("d.webp\r\n\n../gone.jpg\n/abs/olute.png\n")
    parquet.write_table(pa.table({"path": ["d.webp", None], "x": [1, 2]}), tree / "c/list.parquet")
    # A row without a path is a row with an error, not a row that is gone.
    assert found("c/list.csv") == ["c/d.webp", "c/e/f.heic", "c/list.csv:4"]
    assert found("c/list.txt") == ["c/d.webp", "c/../gone.jpg", "/abs/olute.png"]
    assert found("c/list.parquet") == ["c/d.webp", "c/list.parquet:0"]


def test_manifest_without_paths_is_refused_at_once(tree: Path) -> None:
    (tree / "list.csv").write_text("file,label\na,b\n")
    (tree / "list.parquet").write_bytes(b"PAR1 no")
    (tree / "latin.txt").write_bytes(b"\xff\xfe\xff.jpg\n")
    with pytest.raises(D2FError) as caught:
        find_images(["list.csv", "list.parquet", "latin.txt"])
    assert [problem.code for problem in caught.value.problems] == ["D2F605"] * 3


def test_manifest_that_breaks_off_gives_what_stands_before(tree: Path) -> None:
    (tree / "list.txt").write_bytes(b"b.jpg\n" * 5000 + b"\xff\n")
    images = find_images(["list.txt"])
    with pytest.raises(D2FError, match="D2F605"):
        assert len([next(images) for _ in range(5001)]) < 5001


def test_folders_that_link_to_each_other_are_walked_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = "abcde"
    for name in names:
        Path(name).mkdir()
        Path(name, "x.png").write_bytes(b"")
        for other in names:
            if other != name:
                Path(name, f"to-{other}").symlink_to(tmp_path / other)
    assert len(found(".")) == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('path\na.jpg\n"b.jpg\nc.jpg\nd.jpg\n', "unexpected end of data"),
        ('path,x\na.jpg,1\n"b.jpg,2\nc.jpg",3\n', "a path holds a line break"),
        ("path;label\na.jpg;real\n", "the separator looks like ';'"),
        ("path\na.jpg,extra\n", "more fields than the header has"),
    ],
)
def test_a_list_that_is_cut_or_separated_otherwise_is_refused_before_its_first_row(
    tree: Path, text: str, words: str
) -> None:
    (tree / "list.csv").write_text(text)
    with pytest.raises(D2FError, match="D2F605") as caught:
        list(find_images(["list.csv"]))
    assert words in caught.value.problems[0].message


def test_a_nul_between_names_says_so(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a.PNG\0b.jpg"))
    with pytest.raises(D2FError, match="a path holds a NUL character"):
        find_images(["-"])


def test_standard_input(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("b.jpg\n\nwith space.png\r\ngone.jpg"))
    assert found("-", "z.tiff") == ["b.jpg", "with space.png", "gone.jpg", "z.tiff"]


def test_links_are_followed_and_a_folder_is_walked_once(tree: Path) -> None:
    (tree / "c/e/back").symlink_to(tree)
    (tree / "loop").symlink_to("loop")
    (tree / "album").symlink_to(tree / "c")
    assert found(".") == [
        "./a.PNG",
        "./album/d.webp",
        "./album/e/f.heic",
        "./b.jpg",
        "./z.tiff",
    ]
    assert found("**/f.heic") == ["c/e/f.heic"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_that_cannot_be_listed_is_not_lost(tree: Path) -> None:
    (tree / "c/e").chmod(0)
    try:
        assert found("c") == ["c/d.webp", "c/e"]
    finally:
        (tree / "c/e").chmod(0o755)


def test_folder_that_vanishes_is_not_lost(tree: Path) -> None:
    images = walk(str(tree))
    assert next(images).endswith("a.PNG")
    for name in ("c/e/f.heic", "c/e/readme.md"):
        (tree / name).unlink()
    assert [os.path.basename(path) for path in islice(images, 2)] == ["b.jpg", "d.webp"]
    (tree / "c/e").rmdir()
    assert next(images).endswith(("c/e", "z.tiff"))


def test_large_folders_are_read_in_parts(tmp_path: Path) -> None:
    names = sorted(f"{number % 97:02d}-{number}.jpg" for number in range(1000))
    for name in names:
        (tmp_path / name).touch()
    for at_once in (1, 7, 999, 1000, 1001):
        if at_once > 1:
            assert [name for name, _ in entries(str(tmp_path), at_once)] == names
    assert [name for name, _ in islice(entries(str(tmp_path), 1), 3)] == names[:3]


def test_memory_does_not_grow_with_a_folder(tmp_path: Path) -> None:
    for number in range(4000):
        (tmp_path / f"{number:05d}-{'x' * 100}.jpg").touch()

    def peak(at_once: int) -> int:
        tracemalloc.start()
        try:
            assert sum(1 for _ in entries(str(tmp_path), at_once)) == 4000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(200) < peak(4000) / 5
