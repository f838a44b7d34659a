"""What a user may name, the order in which images come out, and what files are that are no image."""

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
from d2f.images.files import find_images
from d2f.images.formats import RAW_SUFFIXES, SUFFIXES, sniff, what_it_is
from d2f.images.walk import Listing, entries, location, walk


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
    assert found("h.dat", "b.jpg") == ["h.dat", "b.jpg"]


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


def test_what_is_missing_comes_with_the_folder_that_was_looked_in(tree: Path) -> None:
    for path, note in (
        ("c/nope.jpg", f"looked in '{tree / 'c'}'"),
        ("nowhere/nope.jpg", f"its folder does not exist either: '{tree / 'nowhere'}'"),
    ):
        with pytest.raises(D2FError) as caught:
            find_images([path])
        assert caught.value.problems[0].notes == (note,)


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
    assert found("c/list.parquet") == ["c/d.webp", "c/list.parquet:2"]
    parquet.write_table(pa.table({"path": [b"d.webp"]}), tree / "c/list.parquet")
    assert found("c/list.parquet") == ["c/d.webp"]
    for value in (3, ["d.webp"]):
        parquet.write_table(pa.table({"path": [value]}), tree / "c/list.parquet")
        with pytest.raises(D2FError, match=r"column 'path' holds .*, not text"):
            found("c/list.parquet")


def test_manifest_without_paths_is_refused_at_once(tree: Path) -> None:
    (tree / "list.csv").write_text("file,label\na,b\n")
    (tree / "list.parquet").write_bytes(b"PAR1 no")
    (tree / "latin.txt").write_bytes(b"\xff\xfe\xff.jpg\n")
    for name in ("list.csv", "list.parquet", "latin.txt"):
        with pytest.raises(D2FError, match="D2F605"):
            find_images([name])


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
    with pytest.raises(D2FError, match="a path on standard input holds a NUL character") as caught:
        find_images(["-"])
    assert caught.value.problems[0].notes == ("to read paths that end in NUL, as find -print0 writes: -0",)


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


PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def listed(*paths: str, all_files: bool = False) -> tuple[list[str], Listing]:
    listing = Listing(all_files)
    return list(find_images(paths, listing)), listing


def test_files_without_a_known_ending_are_taken_by_their_first_bytes(tree: Path) -> None:
    for name in ("c/noending", "c/IMG_1.png.bak", "c/scan.jp2", "c/cam.CR2", "c/.hidden"):
        (tree / name).write_bytes(PNG)
    (tree / "c/pipe").symlink_to("/dev/zero")
    (tree / "c/gone").symlink_to("nowhere")
    images, listing = listed("c")
    assert images == ["c/IMG_1.png.bak", "c/d.webp", "c/e/f.heic", "c/noending", "c/scan.jp2"]
    assert listing.passed_over == {
        ".cr2": 1,
        ".md": 1,
        "hidden": 1,
        "that cannot be read": 1,
        "without ending": 1,
    }
    assert listing.lines() == ["5 files passed over: 1 .cr2, 1 .md, 1 hidden, 1 that cannot be read, 1 without ending"]
    assert listed("c/*")[0] == images
    every, listing = listed("c", all_files=True)
    assert {"c/cam.CR2", "c/e/readme.md", "c/noending"} < set(every)
    assert listing.passed_over == {"hidden": 1}


def test_every_format_that_is_read_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    from PIL import Image
    from pillow_heif import from_pillow

    picture = Image.new("RGB", (32, 32), "red")
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"):
        picture.save(tmp_path / f"{format.lower()}_file", format)
    from_pillow(picture).save(tmp_path / "heif_file")
    assert len(listed(str(tmp_path))[0]) == 8


def test_camera_raws_are_no_images_by_their_ending() -> None:
    assert not RAW_SUFFIXES & SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in RAW_SUFFIXES)


def test_a_folder_without_images_says_what_it_holds(tree: Path) -> None:
    (tree / "raws").mkdir()
    for name in ("a.CR2", "b.cr2", ".c.jpg"):
        (tree / "raws" / name).write_bytes(b"II*\0")
    with pytest.raises(D2FError, match="D2F003") as caught:
        find_images(["raws"])
    assert caught.value.problems[0].notes == (
        "3 files passed over: 2 .cr2, 1 hidden",
        "to take every file, whatever its ending: --all-files",
    )


def test_endings_without_end_take_no_memory_without_end(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"x.{number:04}").touch()
    (tmp_path / "a.png").touch()
    listing = listed(str(tmp_path))[1]
    assert listing.passed_over.total() == 300
    assert len(listing.passed_over) == 101
    assert listing.passed_over["of other endings"] == 200


@pytest.mark.parametrize(
    ("paths", "images", "again"),
    [
        (["b.jpg", "."], ["b.jpg", "./a.PNG", "./c/d.webp", "./c/e/f.heic", "./z.tiff"], 1),
        ([".", "b.jpg", "c/../b.jpg"], ["./a.PNG", "./b.jpg", "./c/d.webp", "./c/e/f.heic", "./z.tiff"], 2),
        (["c", "c", "c/e", "./c/"], ["c/d.webp", "c/e/f.heic"], 0),
        (["c/*", "c/**"], ["c/d.webp", "c/e/f.heic"], 2),
        (["list.csv", "b.jpg"], ["b.jpg", "a.PNG"], 2),
        (["album/d.webp", "c"], ["album/d.webp", "c/e/f.heic"], 1),
    ],
)
def test_an_image_that_is_named_twice_is_given_once(
    tree: Path, paths: list[str], images: list[str], again: int
) -> None:
    (tree / "list.csv").write_text("path\nb.jpg\na.PNG\nc/../b.jpg\n")
    if paths[0].startswith("album"):
        (tree / "album").symlink_to(tree / "c")
    found, listing = listed(*paths)
    assert (found, listing.repeated) == (images, again)


def test_files_passed_over_are_counted_once(tree: Path) -> None:
    listing = listed("c/*", "c", "c/e", "**", "list.csv" if os.path.exists("list.csv") else "b.jpg")[1]
    assert listing.passed_over[".md"] == 1


def test_links_to_files_are_images_of_their_own(tree: Path) -> None:
    (tree / "c/also.jpg").symlink_to(tree / "b.jpg")
    assert listed("c", "b.jpg")[0] == ["c/also.jpg", "c/d.webp", "c/e/f.heic", "b.jpg"]


def test_a_location_is_the_same_for_every_spelling(tree: Path) -> None:
    (tree / "album").symlink_to(tree / "c")
    spellings = ("c/d.webp", "./c//d.webp", "c/e/../d.webp", "album/d.webp", str(tree / "c/d.webp"))
    assert {location(path) for path in spellings} == {str(tree / "c/d.webp")}


def test_texts_among_images_are_files_unless_they_list_some(tree: Path) -> None:
    (tree / "notes.txt").write_text("bring milk\nand bread\n")
    (tree / "export.csv").write_text("date,sum\n1,2\n")
    (tree / "broken.parquet").write_bytes(b"PAR1 no")
    (tree / "list.txt").write_text("gone.jpg\nc/d.webp\n")
    (tree / "list.csv").write_text("path\nz.tiff\n")
    images, listing = listed("a.PNG", "notes.txt", "export.csv", "broken.parquet", "list.txt", "list.csv")
    assert images == ["a.PNG", "notes.txt", "export.csv", "broken.parquet", "gone.jpg", "c/d.webp", "z.tiff"]
    assert (
        listing.notes[0] == "'notes.txt' is taken as a file, not as a list of images: its first 20 lines name no file"
    )
    assert [note.split(" is taken")[0] for note in listing.notes] == ["'notes.txt'", "'export.csv'", "'broken.parquet'"]
    for alone in ("export.csv", "broken.parquet"):
        with pytest.raises(D2FError, match="D2F605"):
            find_images([alone])


def test_lists_hold_names_that_are_not_utf8(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"latin\xe9.jpg")
    (tree / name).touch()
    (tree / "list.txt").write_bytes(b"latin\xe9.jpg\nb.jpg\n")
    assert found("list.txt") == [name, "b.jpg"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"latin\xe9.jpg\r\nb.jpg")))
    assert found("-") == [name, "b.jpg"]
    (tree / "list.txt").write_bytes(b"b.jpg\ngone\xe9.jpg\n")
    with pytest.raises(D2FError, match="it is not UTF-8 text"):
        list(find_images(["list.txt"]))


# Files that are no image: the error says what the first bytes say they are, and what to do.

OTHERS = [
    (b"PK\x03\x04" + bytes(30), "a zip archive (or an office document)", "unpack it first"),
    (b"\x1f\x8b\x08" + bytes(30), "a gzip archive", "unpack it first"),
    (b"%PDF-1.7\n", "a PDF document", "export the picture from it"),
    (b"\xff\x0a" + bytes(30), "a JPEG XL picture", "convert it to PNG or TIFF"),
    (b"8BPS\0\1" + bytes(30), "a Photoshop document", "export the picture from it"),
    (bytes(4) + b"ftypmp42" + bytes(30), "a film (MP4)", "take a frame from it"),
    (bytes(128) + b"DICM" + bytes(30), "a DICOM picture", "export the picture from it"),
    (b"\xef\xbb\xbf<!DOCTYPE html><html>", "an HTML page", "save the picture itself"),
    (b"<?xml version='1.0'?>\n<svg/>", "an SVG drawing", "made of pixels"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git LFS", "git lfs pull"),
    (b"data:image/png;base64,iVBORw0KGgo", "an image in base64", "decode it first"),
    (b"/9j/4AAQSkZJRgABAQ", "an image in base64", "decode it first"),
    (b'{"error": "not found"}', "text", ""),
    (bytes(3000), "nothing but 0x00 bytes, as broken downloads and cards leave", "fetch it again"),
    (b"\0\5\x16\7\0\2\0\0Mac OS X", "a Mac's companion file (AppleDouble)", "without '._'"),
    (b"\x89PNG\n\x1a\n" + bytes(30), "a PNG whose line ends were changed, as a transfer of text does", "as binary"),
    (b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8\xff\xe0" + bytes(30), "other bytes with an image from byte 19 on", "cut off"),
    (b"ID3\4\0" + bytes(30), "a sound (MP3)", ""),
    (b"{\\rtf1\\ansi", "a text document (RTF)", "export the picture from it"),
]


@pytest.mark.parametrize(("data", "what", "todo"), OTHERS, ids=[what for _, what, _ in OTHERS])
def test_what_is_no_image_is_named(data: bytes, what: str, todo: str) -> None:
    assert sniff(data) is None
    said = what_it_is(data)
    assert said.startswith(f"{what}, not an image in a format that d2f reads")
    assert todo in said
