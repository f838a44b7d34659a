"""One image from a program: path, bytes, file object, PIL image, array; and the result that it gets."""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import d2f
from d2f.chain.words import legend, sentence
from d2f.engine.findings import NEEDS_FILE
from d2f.plugins.catalog import Catalog
from tests.docs.pages import DOCS

PICTURE = DOCS / "tutorial" / "images" / "camera-like.jpg"


@pytest.fixture(scope="module")
def fast() -> d2f.Chain:
    return d2f.load_chain("fast")


@pytest.fixture(scope="module")
def pixels() -> d2f.Pixels:
    return np.asarray(Image.open(PICTURE).convert("RGB"))


def values(row: d2f.Row, *without: str) -> dict[str, Any]:
    return {name: value for name, value in row.to_dict().items() if name not in without}


def turned(folder: Path) -> Path:
    """A picture that EXIF says to turn, with a profile that swaps red and blue for sRGB's numbers."""
    image = Image.open(PICTURE).crop((0, 0, 256, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "turned.png", exif=exif)
    return folder / "turned.png"


def test_bytes_and_file_objects_give_the_row_of_the_path(fast: d2f.Chain) -> None:
    of_path = fast.judge(PICTURE)
    assert of_path.probability is not None
    data = PICTURE.read_bytes()
    for given in (data, bytearray(data), memoryview(data), io.BytesIO(data)):
        assert values(fast.judge(given), "path") == values(of_path, "path")
    with PICTURE.open("rb") as file:
        assert values(fast.judge(file)) == values(of_path)
        assert values(fast.judge(file)) == values(of_path)  # it is read from where it stood


def test_pixels_are_judged_upright_without_what_needs_the_file(fast: d2f.Chain, tmp_path: Path) -> None:
    path = turned(tmp_path)
    of_path = fast.judge(path)
    assert (of_path.width, of_path.height, of_path.missing) == (200, 256, ())
    upright = np.rot90(np.asarray(Image.open(path)), -1)
    of_image, of_array = fast.judge(Image.open(path)), fast.judge(upright)
    assert values(of_image, "path") == values(of_array, "path")
    assert values(of_image, "sha256", "format", "missing") == values(of_path, "sha256", "format", "missing")
    assert of_image.sha256 == hashlib.sha256(upright.tobytes()).hexdigest()
    assert of_image.format is None
    assert of_image.missing == (d2f.Missing("provenance", NEEDS_FILE),)


def test_a_transparent_picture_has_the_note_of_its_file(fast: d2f.Chain, tmp_path: Path) -> None:
    picture = Image.open(PICTURE).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(tmp_path / "clear.png")
    of_image, of_path = fast.judge(picture), fast.judge(tmp_path / "clear.png")
    assert "transparent" in [note.code for note in of_path.notes]
    assert of_image.notes == of_path.notes
    assert of_image.probability == of_path.probability


def test_stages_that_read_the_file_are_missing_for_pixels(tmp_path: Path, catalog: Catalog, pixels: d2f.Pixels) -> None:
    (tmp_path / "chain.yaml").write_text(
        "d2f: 1\nname: two\nevidence: [{use: name}]\n"
        "detectors: [{use: noise-statistics}, {id: bytes, use: provenance}]\n"
    )
    row = d2f.load_chain(tmp_path / "chain.yaml", catalog=catalog).judge(pixels)
    assert row.missing == (d2f.Missing("bytes", NEEDS_FILE), d2f.Missing("name", NEEDS_FILE))
    assert row.stages[0].score == float(pixels.mean())
    assert (row.stages[1].score, row.stages[1].abstained) == (None, NEEDS_FILE)
    assert [one.statement for one in row.evidence] == ["it begins with b''"]  # marks in the pixels can still be read


def test_what_is_no_image_is_refused(fast: d2f.Chain, pixels: d2f.Pixels) -> None:
    for given in (3.0, None, pixels[..., 0], pixels / 255, pixels[:0]):
        with pytest.raises(d2f.D2FError, match="D2F307"):
            fast.judge(given)  # type: ignore[arg-type]
    with pytest.raises(d2f.D2FError, match="D2F307"):
        fast.run([PICTURE, 3.0])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (b"", "D2F302"),
        (b"no picture", "D2F303"),
        (PICTURE.read_bytes()[:5000], "D2F304"),
        (io.StringIO("text"), "D2F301"),
        ("nothing.png", "D2F301"),
        (Image.new("RGB", (2000, 2000)), "D2F306"),
        (Image.open(io.BytesIO(PICTURE.read_bytes()[:5000])), "D2F304"),
        (np.zeros((2000, 2000, 3), np.uint8), "D2F306"),
    ],
)
def test_a_bad_image_has_its_row(fast: d2f.Chain, given: Any, code: str) -> None:
    row = fast.judge(given, bounds=d2f.Bounds(pixels=10**6))
    assert row.error is not None
    assert (row.error.code, row.verdict) == (code, None)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_takes_all_of_them_in_order(fast: d2f.Chain, pixels: d2f.Pixels, workers: int) -> None:
    data = PICTURE.read_bytes()
    rows = list(fast.run([data, PICTURE, b"", Image.fromarray(pixels), pixels], workers=workers))
    assert [row.path for row in rows] == ["<bytes 0>", str(PICTURE), "<bytes 2>", "<image 3>", "<array 4>"]
    assert [row.llr == rows[1].llr for row in rows] == [True, True, False, True, True]
    (alone,) = fast.run(pixels)
    assert (alone.path, alone.llr) == ("<array>", rows[4].llr)
    assert [row.llr for row in fast.run(np.stack([pixels]))] == [alone.llr]
    assert [row.llr for row in fast.run(Image.fromarray(pixels))] == [alone.llr]


@pytest.mark.parametrize(("prior", "fewer", "more"), [(0.01, "fewer", "more"), (0.9, "more", "fewer")])
def test_another_prior_says_what_becomes_of_the_error_rates(
    fast: d2f.Chain, prior: float, fewer: str, more: str
) -> None:
    assert not [line for line in legend(fast) if "were set at" in line]
    (line,) = [line for line in legend(fast.with_prior(prior)) if "were set at" in line]
    assert line.startswith("these rates were set at prior 50 %")
    assert f"{fewer} photographs are called AI-generated, and {more} generated images go unnoticed" in line


def test_another_prior_holds_in_every_process(fast: d2f.Chain) -> None:
    rare = fast.with_prior(0.01)
    expected = [rare.judge(PICTURE).probability] * 2
    assert expected[0] != fast.judge(PICTURE).probability
    given = [PICTURE.read_bytes()] * 2
    assert [row.probability for row in rare.run(given, workers=2)] == expected
    assert [row.probability for row in rare.run(given, workers=1)] == expected


def test_a_result_is_a_row_that_shows_itself(fast: d2f.Chain) -> None:
    result = fast.judge(PICTURE)
    row = pickle.loads(pickle.dumps(result))
    assert isinstance(result, d2f.Result)
    assert isinstance(result, d2f.Row)
    assert result == row == replace(result)
    assert result != replace(result, llr=1.0)
    assert repr(result).endswith(f"{sentence(result)} (chain fast)>")
    assert "the pixels give " in str(result)
    shown = replace(result, path="<script>")._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
