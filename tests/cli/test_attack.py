"""`d2f attack`: files to files, folders to folders, and what stops it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f.cli.main import main
from d2f.engine.spec import parse_spec
from d2f.engine.views import apply_steps
from d2f.images.read import read_image
from d2f.plugins.catalog import Catalog
from tests.plugins.pictures import Pixels, noise_picture, photograph

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``d2f attack`` in a folder of its own; return the exit code and what it says."""
    monkeypatch.chdir(tmp_path)

    def _run(*arguments: str) -> tuple[int, str]:
        code = main(["attack", *arguments])
        said = capsys.readouterr()
        assert said.out == ""
        return code, said.err

    return _run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of four pictures, one file that is none, and one of another kind."""
    photos = tmp_path / "photos"
    (photos / "deep" / "er").mkdir(parents=True)
    Image.fromarray(photograph()[:60, :80]).save(photos / "a.png")
    Image.fromarray(photograph("coffee")[:50, :70]).save(photos / "deep" / "b.JPG", "JPEG", quality=95)
    Image.fromarray(noise_picture(9, 7)).save(photos / "deep" / "er" / "c.webp", lossless=True)
    Image.fromarray(noise_picture(1, 1)).save(photos / "deep" / "er" / "d.bmp")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (photos / "notes.txt").write_text("no picture")
    return photos


def pixels(path: str | Path) -> Pixels:
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def expected(spec: str, path: str | Path) -> Pixels:
    return apply_steps(read_image(str(path)), parse_spec(spec, Catalog.discover()))


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_to_a_file(run: Run, folder: Path) -> None:
    assert run("wiener:7+noise:2", "photos/a.png", "out.png") == (0, "1 image written to out.png\n")
    assert np.array_equal(pixels("out.png"), expected("wiener:7+noise:2", "photos/a.png"))


def test_a_folder_to_a_folder(run: Run, folder: Path) -> None:
    code, said = run("noise:sigma=5", "photos", "out/attacked")
    assert code == 1
    assert said.startswith("error[D2F30")
    assert said.count("photos/broken.jpg") == 1
    assert said.endswith("1 error\n1 file passed over: 1 .txt\n4 images written to out/attacked\n")
    assert below(Path("out/attacked")) == ["a.png", "deep/b.png", "deep/er/c.png", "deep/er/d.png"]
    for made, source in (("a.png", "a.png"), ("deep/b.png", "deep/b.JPG"), ("deep/er/c.png", "deep/er/c.webp")):
        assert np.array_equal(pixels(f"out/attacked/{made}"), expected("noise:5", folder / source))


def test_the_same_file_gets_the_same_noise_wherever_it_lies(run: Run, folder: Path) -> None:
    (folder / "deep" / "copy.png").write_bytes((folder / "a.png").read_bytes())
    assert run("noise:5", "photos/deep/copy.png", "one.png")[0] == 0
    assert run("noise:5", "photos", "many")[0] == 1
    assert np.array_equal(pixels("one.png"), pixels("many/a.png"))


@pytest.mark.parametrize(
    ("sources", "made"),
    [
        (["photos/a.png"], ["a.png"]),
        (["photos/a.png", "photos/deep"], ["a.png", "b.png", "er/c.png", "er/d.png"]),
        (["photos/deep/*"], ["b.png", "er/c.png", "er/d.png"]),
        (["photos/**/*.bmp"], ["deep/er/d.png"]),
        (["list.txt"], ["photos/a.png", "photos/deep/er/c.png"]),
    ],
    ids=str,
)
def test_everything_keeps_its_place_below_what_was_named(
    run: Run, folder: Path, sources: list[str], made: list[str]
) -> None:
    Path("list.txt").write_text("photos/a.png\nphotos/deep/er/c.webp\n")
    code, said = run("greyscale", *sources, "out")
    assert (code, said) == (0, f"{len(made)} image{'s' if len(made) > 1 else ''} written to out\n")
    assert below(Path("out")) == made


def test_a_folder_inside_the_one_that_is_read_is_left_out(run: Run, folder: Path) -> None:
    (folder / "broken.jpg").unlink()
    assert run("median", "photos", "photos/attacked")[0] == 0
    assert run("median", "photos", "photos/attacked", "--overwrite") == (
        0,
        "1 file passed over: 1 .txt\n4 images written to photos/attacked\n",
    )
    assert below(folder / "attacked") == ["a.png", "deep/b.png", "deep/er/c.png", "deep/er/d.png"]


def test_nothing_is_overwritten_unasked(run: Run, folder: Path) -> None:
    before = Path("photos/a.png").read_bytes()
    code, said = run("wiener", "photos/deep/b.JPG", "photos/a.png")
    assert code == 1
    assert said == (
        "error[D2F004]: 'photos/a.png' already exists\n   = to replace it: --overwrite\n\n1 error\n"
        "0 images written to photos/a.png\n"
    )
    assert Path("photos/a.png").read_bytes() == before
    assert run("wiener", "photos/deep/b.JPG", "photos/a.png", "--overwrite")[0] == 0
    assert np.array_equal(pixels("photos/a.png"), expected("wiener", "photos/deep/b.JPG"))


def test_files_of_one_stem_keep_their_endings(run: Run, folder: Path) -> None:
    Image.fromarray(noise_picture(5, 5)).save("photos/a.bmp")
    Image.fromarray(noise_picture(6, 5)).save("photos/deep/er/C.jpg")
    assert run("wiener", "photos/a.bmp", "photos/a.png", "photos/deep", "out")[0] == 0
    assert below(Path("out")) == ["a.bmp.png", "a.png.png", "b.png", "er/C.jpg.png", "er/c.webp.png", "er/d.png"]
    for source in ("a.bmp", "a.png"):
        assert np.array_equal(pixels(f"out/{source}.png"), expected("wiener", f"photos/{source}"))


def test_two_files_of_one_name_are_not_written_over_each_other(run: Run, folder: Path) -> None:
    Image.fromarray(noise_picture(5, 5)).save("photos/deep/a.png")
    code, said = run("wiener", "photos/a.png", "photos/deep/a.png", "out", "--overwrite")
    assert code == 1
    assert "error[D2F004]: photos/deep/a.png: 'out/a.png' was made of 'photos/a.png'" in said
    assert np.array_equal(pixels("out/a.png"), expected("wiener", "photos/a.png"))


def test_an_image_that_is_named_twice_is_attacked_once(run: Run, folder: Path) -> None:
    code, said = run("wiener", "photos/a.png", "photos/deep", "photos/deep/er", "photos/deep/b.JPG", "out")
    assert (code, said) == (0, "1 image was named twice and taken once\n4 images written to out\n")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".tiff", ".bmp", ".PNG"])
def test_formats_that_keep_pixels(run: Run, folder: Path, suffix: str) -> None:
    assert run("wiener:5", "photos/a.png", f"out{suffix}") == (0, f"1 image written to out{suffix}\n")
    assert np.array_equal(pixels(f"out{suffix}"), expected("wiener:5", "photos/a.png"))


def test_jpeg_is_warned_of(run: Run, folder: Path) -> None:
    code, said = run("greyscale", "photos/deep/er", "out", "--format", "jpeg")
    assert code == 0
    assert said.startswith("warning[D2F007]: JPEG does not preserve pixels: its encoder adds a laundering")
    assert below(Path("out")) == ["c.jpg", "d.jpg"]
    with Image.open("out/c.jpg") as picture:
        assert picture.format == "JPEG"


def test_metadata_is_dropped(run: Run, folder: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(noise_picture(10, 20)).save("photos/x.jpg", exif=exif, comment=b"words", icc_profile=None)
    for name in ("x.png", "x.webp", "x.tif", "y.jpg"):
        assert run("median", "photos/x.jpg", name)[0] == 0
        with Image.open(name) as picture:
            assert picture.size == (10, 20)  # upright now
            # TIFF's own tags describe its layout.
            assert 0x010F not in picture.getexif()
            assert not {"comment", "exif", "xmp", "icc_profile"} & set(picture.info)


def test_a_step_that_fails_costs_its_image_only(run: Run, folder: Path) -> None:
    Image.fromarray(np.zeros((1, 17000, 3), np.uint8)).save("photos/deep/wide.png")
    code, said = run("webp:80", "photos/deep", "out")
    assert code == 1
    message = "photos/deep/wide.png: preprocessor 'webp': ValueError: WebP holds at most 16383 pixels a side, not 17000"
    assert said == f"error[D2F404]: {message}\n\n1 error\n3 images written to out\n"


def test_a_target_that_is_a_folder(run: Run, folder: Path) -> None:
    Path("out/a.png").mkdir(parents=True)
    code, said = run("median", "photos/a.png", "out", "--overwrite")
    assert code == 1
    assert said.startswith("error[D2F004]: 'out/a.png' is a folder\n")
    assert below(Path("out")) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["wienr:7", "photos", "out"], "did you mean 'wiener'?"),
        (["wiener:7", "photos"], "error[D2F001]: OUT is missing"),
        (["wiener:7", "absent.jpg", "out.png"], "error[D2F002]: 'absent.jpg' not found"),
        (["wiener:7", "absent", "photos", "gone", "out"], "2 errors"),
        (["wiener:7", "photos", "out.png"], "several images do not go into one file, 'out.png'"),
        (["wiener:7", "photos/a.png", "photos/a.png", "out.png"], "several images do not go into one file"),
        (["wiener:7", "photos/a.png", "out.xyz"], "files of type '.xyz' are not written"),
        (["wiener:7", "photos", "photos/notes.txt"], "error[D2F004]: 'photos/notes.txt' is a file, not a folder"),
        (["wiener:7", "photos", "photos"], "'photos' is the folder that is read"),
        (["wiener:7", "photos", "./photos/deep/.."], "is the folder that is read"),
        (["wiener:7", "photos/*.gif", "out"], "error[D2F003]: no image was found"),
        (["wiener:7", "photos", "out", "--format", "gif"], "error[D2F001]"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_understood_stops_it_before_the_first_image(
    run: Run, folder: Path, arguments: list[str], words: str
) -> None:
    before = below(folder)
    code, said = run(*arguments)
    assert code == 2
    assert words in said
    assert below(folder) == before
    assert not Path("out").exists()
    assert not Path("out.png").exists()


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA is not set")
def test_real_images_of_every_format(run: Run) -> None:
    train = Path(os.environ["D2F_DATA"]) / "train"
    chosen: dict[str, str] = {}
    for path in sorted(train.rglob("*.*")):
        if path.suffix.lower() in (".jpg", ".png", ".webp"):
            chosen.setdefault(path.suffix.lower(), str(path))
    assert chosen
    assert run("wiener:7+noise:2", *chosen.values(), "out")[0] == 0
    for source in chosen.values():
        made = Path("out") / Path(source).with_suffix(".png").name
        assert np.array_equal(pixels(made), expected("wiener:7+noise:2", source))
