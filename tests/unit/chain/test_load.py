"""Chains loaded by name and by path, and run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import d2f
from d2f import D2FError, StageFinished
from d2f.chain.chain import is_path, load_chain
from d2f.images.read import Bounds
from d2f.plugins.catalog import Catalog
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
