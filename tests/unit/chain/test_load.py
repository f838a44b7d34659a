"""Chains from a program: loaded by name and by path, and run over images of every form."""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import d2f
from d2f import D2FError, StageFinished
from d2f.chain.chain import is_path, load_chain
from d2f.chain.words import legend, sentence
from d2f.engine.findings import NEEDS_FILE
from d2f.images.read import Bounds
from d2f.plugins.catalog import Catalog
from tests.docs.pages import DOCS
from tests.unit.chain import stages

TRIAD = Path(__file__).parents[2] / "chains" / "good" / "triad.yaml"
UNFITTED = TRIAD.with_name("unfitted.yaml")


def test_one_path_is_as_good_as_a_list(catalog: Catalog, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    chain = load_chain(UNFITTED, catalog=catalog)
    for one in (tmp_path, str(tmp_path / "a.png"), [tmp_path]):
        assert [row.path for row in chain.run(one)] == [str(tmp_path / "a.png")]
    (refused,) = chain.run(tmp_path, bounds=d2f.Bounds(pixels=63))
    assert refused.error is not None
    assert refused.error.code == "D2F306"


class TestNames:
    @pytest.fixture(autouse=True)
    def _shipped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "shipped"
        folder.mkdir()
        (folder / "robust.yaml").write_text(TRIAD.read_text("utf-8"), "utf-8")
        (folder / "__init__.py").touch()
        monkeypatch.setattr("d2f.chain.chain.files", lambda package: folder)
        monkeypatch.chdir(tmp_path)

    def test_a_shipped_chain(self, catalog: Catalog) -> None:
        chain = load_chain("robust", catalog=catalog)
        assert (chain.origin, chain.name) == ("robust", "triad")
        assert chain.digest == load_chain(TRIAD, catalog=catalog).digest

    def test_unknown(self, catalog: Catalog) -> None:
        with pytest.raises(D2FError) as error:
            load_chain("robst", catalog=catalog)
        assert error.value.problems[0].code == "D2F130"
        assert error.value.problems[0].notes[0] == "did you mean 'robust'?"

    def test_a_file_goes_before_a_name(self, catalog: Catalog) -> None:
        Path("robust").write_text(UNFITTED.read_text("utf-8"), "utf-8")
        assert load_chain("robust", catalog=catalog).name == "unfitted"

    def test_a_folder_of_that_name_does_not(self, catalog: Catalog) -> None:
        Path("robust").mkdir()
        assert load_chain("robust", catalog=catalog).name == "triad"

    @pytest.mark.parametrize("name", ["robust.yaml", "./robust", "a/b", "x.yml", "\0.yaml"])
    def test_paths(self, name: str) -> None:
        assert is_path(name)

    @pytest.mark.parametrize("name", ["robust", "", "robust.yam", "\0", "a" * 5000])
    def test_no_paths(self, name: str) -> None:
        assert not is_path(name)

    def test_a_path_object_is_a_path(self) -> None:
        assert is_path(Path("robust"))

    def test_what_ships_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        from d2f.chain.chain import shipped_names

        folder = Path(__file__).parents[3] / "chains"
        assert list(shipped_names()) == sorted(path.stem for path in folder.glob("*.yaml"))


class TestChain:
    def test_facts(self, catalog: Catalog) -> None:
        chain = load_chain(TRIAD, catalog=catalog)
        assert chain.file.description == "Three cues over three views: fused into one probability."
        assert chain.plan.name == "triad"
        assert chain.warnings == ()
        assert chain.images == (str(TRIAD.parent / "photos"), str(TRIAD.parent / "scans/*.png"))
        assert chain.text == TRIAD.read_text("utf-8")
        assert len(repr(chain)) < 200

    def test_images_are_found_from_the_chain_file(
        self, tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("chains").mkdir()
        Path("chains/a.yaml").write_text(f"{UNFITTED.read_text('utf-8')}images: [../photos, '{tmp_path}/b', c.jpg]\n")
        assert load_chain("chains/a.yaml", catalog=catalog).images == ("photos", f"{tmp_path}/b", "chains/c.jpg")

    def test_warnings_are_kept(self, catalog: Catalog) -> None:
        assert [problem.code for problem in load_chain(UNFITTED, catalog=catalog).warnings] == ["D2F127"]

    def test_all_problems_are_raised_at_once(self, tmp_path: Path, catalog: Catalog) -> None:
        (tmp_path / "a.yaml").write_text("d2f: 1\nname: A\ncolour: red\n")
        with pytest.raises(D2FError) as error:
            load_chain(tmp_path / "a.yaml", catalog=catalog)
        assert [problem.code for problem in error.value.problems] == ["D2F105", "D2F106", "D2F104"]

    def test_refit(self, catalog: Catalog) -> None:
        chain = load_chain(TRIAD, catalog=catalog, refit=True)
        assert chain.plan.decision is None
        assert chain.file.calibrate == {}
        assert chain.file.combine.need == 2


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures of rising grey, and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, grey in (("a", 10), ("b", 100), ("c", 200)):
        Image.fromarray(np.full((16, 20, 3), grey, dtype=np.uint8)).save(folder / f"{name}.png")
    (folder / "d.png").write_bytes(b"no picture")
    return folder


class TestRun:
    def chain(self, folder: Path, catalog: Catalog, text: str) -> d2f.Chain:
        (folder / "chain.yaml").write_text(
            f"d2f: 1\nname: grey\ndetectors: [{{use: noise-statistics}}]\n{text}", "utf-8"
        )
        return load_chain(folder / "chain.yaml", catalog=catalog)

    # Half of 100 greys: P = 1 / (1 + exp(-(0.05 g - 5))), by hand.
    FIT = "calibrate: {noise-statistics/plain: {use: platt, with: {slope: 0.05, bias: -5}}}\n"

    def test_rows(self, photos: Path, tmp_path: Path, catalog: Catalog) -> None:
        chain = self.chain(tmp_path, catalog, self.FIT)
        rows = list(chain.run([photos]))
        assert [Path(row.path).name for row in rows] == ["a.png", "b.png", "c.png", "d.png"]
        assert [row.probability for row in rows] == [0.011, 0.5, 0.9933, None]
        assert [row.verdict for row in rows] == ["real", "inconclusive", "generated", None]
        assert [row.llr for row in rows] == [-4.5, 0.0, 5.0, None]
        assert [member.score for row in rows[:3] for member in row.stages] == [10.0, 100.0, 200.0]
        assert {row.chain_digest for row in rows} == {chain.digest}
        assert rows[3].error is not None
        assert rows[3].error.code == "D2F303"

    def test_not_fitted(self, photos: Path, tmp_path: Path, catalog: Catalog) -> None:
        rows = list(self.chain(tmp_path, catalog, "").run([str(photos / "a.png")]))
        assert [(row.verdict, row.probability, row.error) for row in rows] == [("inconclusive", None, None)]
        assert [member.score for member in rows[0].stages] == [10.0]

    def test_combiner_not_fitted(self, photos: Path, tmp_path: Path, catalog: Catalog) -> None:
        rows = list(self.chain(tmp_path, catalog, f"{self.FIT}combine: {{use: logistic}}\n").run([photos / "c.png"]))
        assert [(row.verdict, row.probability) for row in rows] == [("inconclusive", None)]
        assert [member.probability for member in rows[0].stages] == [0.9933]

    def test_the_prior_moves_the_verdict(self, photos: Path, tmp_path: Path, catalog: Catalog) -> None:
        chain = self.chain(tmp_path, catalog, f"{self.FIT}verdict: {{prior: 0.01}}\n")
        (row,) = chain.run([photos / "b.png"])
        assert (row.probability, row.verdict, row.llr) == (0.01, "real", 0.0)

    @pytest.mark.usefixtures("photos")
    def test_the_chain_s_own_images(self, tmp_path: Path, catalog: Catalog) -> None:
        chain = self.chain(tmp_path, catalog, "images: [photos/?.png]\n")
        assert [Path(row.path).name for row in chain.run()] == ["a.png", "b.png", "c.png", "d.png"]

    @pytest.mark.usefixtures("photos")
    def test_an_empty_list_is_no_image(self, tmp_path: Path, catalog: Catalog) -> None:
        chain = self.chain(tmp_path, catalog, "images: [photos/?.png]\n")
        assert list(chain.run([])) == []
        assert list(chain.run(())) == []

    def test_errors_come_at_the_call(self, tmp_path: Path, catalog: Catalog) -> None:
        chain = self.chain(tmp_path, catalog, "")
        with pytest.raises(D2FError, match="D2F002"):
            chain.run([tmp_path / "nothing.png"])
        with pytest.raises(D2FError, match="D2F003"):
            chain.run()

    def test_bounds(self, photos: Path, tmp_path: Path, catalog: Catalog) -> None:
        (row,) = self.chain(tmp_path, catalog, "").run([photos / "a.png"], bounds=Bounds(pixels=100))
        assert row.error is not None
        assert row.error.code == "D2F306"

    def test_events(self, photos: Path, tmp_path: Path) -> None:
        told: list[StageFinished] = []
        seen: list[StageFinished] = []
        catalog = Catalog.of(*stages.STAGES, observers=[seen.append])
        chain = self.chain(tmp_path, catalog, self.FIT)
        list(chain.run([photos / "a.png"], workers=1, on_event=told.append))
        assert told == seen
        assert {event.kind for event in told} == {"decode", "detector", "combiner"}

    def test_an_early_end_leaves_no_worker(self, photos: Path, tmp_path: Path, catalog: Catalog) -> None:
        import threading

        before = threading.active_count()
        rows = self.chain(tmp_path, catalog, "").run([photos] * 20, workers=3)
        next(rows)
        rows.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before

    def test_any_number_of_times(self, photos: Path, tmp_path: Path, catalog: Catalog) -> None:
        chain = self.chain(tmp_path, catalog, self.FIT)
        runs: list[Callable[[], list[d2f.Row]]] = [lambda: list(chain.run([photos], workers=2))] * 3
        first, second, third = (run() for run in runs)
        assert first == second == third


def test_importing_d2f_imports_nothing_heavy() -> None:
    code = "import d2f, sys; d2f.load_chain; d2f.Chain; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"numpy", "scipy", "mlx", "PIL", "pydantic", "ruamel", "rich", "click", "yaml"} & set(
        done.stdout.split()
    )


# One image from a program: path, bytes, file object, PIL image, array; and the result that it gets.

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
