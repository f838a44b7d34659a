"""The autoencoder where it is used: fetched, checked by the kit, as an attack of the bench, in a recipe, for pairs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from d2f_autoencoder.records import DECODER, ENCODER
from PIL import Image

from d2f import Exit
from d2f.cli.main import main
from d2f.data.dataset import load_dataset
from d2f.data.groups import components
from d2f.evaluate.attacks import CORE, attack_set
from d2f.plugins.catalog import Catalog
from d2f.testing import check_answers, check_common, check_stage
from d2f.testing.pictures import pictures, write_labelled_set
from tests.cli.test_bench import CHAIN
from tests.cli.test_chain_fit import PLUGIN
from tests.distributions import Distributions, installed
from tests.plugins import autoencoder_reference as reference
from tests.plugins.pictures import noise_picture, stage
from tests.unit.evaluate.toys import write_set
from tests.unit.weights.server import serving

CARD = Path(__file__).parents[2] / "plugins" / "d2f_autoencoder" / "README.md"
ABSENT = "weights 'taef2' are not on this machine; to fetch them: d2f weights pull taef2"
RECIPE = """\
d2f: 1
train: resnet
with: {depth: 20, stem: early}
data: {part: all, validation: 0.25}
tiles: {size: 16, count: 1, pick: grid}
copies: {protocol: as-found}
batch: 4
epochs: 2
"""

distributions = pytest.fixture(installed)


def block(language: str) -> str:
    """Return the one block of a language on the card."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", CARD.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it."""
    monkeypatch.setenv("D2F_CACHE", str(tmp_path / "empty"))
    return tmp_path / "empty"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference.pulled(tmp_path / "cache", monkeypatch)


def test_one_command_fetches_both(cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    folder = reference.folder()
    with serving() as server:
        found = []
        for record in (DECODER, ENCODER):
            path = f"/{record.name.replace('/', '_')}.pth"
            server.files[path] = (folder / path[1:]).read_bytes()
            found.append(replace(record, sources=(server.url(path),)))
        monkeypatch.setattr(Catalog, "weights", tuple(found))
        assert main(["weights", "pull", "taef2"]) == Exit.OK
    assert re.findall(r"^taef2/(\w+): fetched from .*, 2\.7 MB$", capsys.readouterr().out, re.M) == [
        "decoder",
        "encoder",
    ]
    made = stage("autoencoder")
    made.load()
    picture = noise_picture(16, 16)
    assert not np.array_equal(made.apply(picture, 0), picture)


def test_the_kit_on_small_pictures(weights: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # All of them, of 256 pixels a side, take the kit two minutes of one core.
    small = {name: np.ascontiguousarray(pictures()[name][:33, :40]) for name in ("camera", "text", "black", "tiny 1x1")}
    for picture in small.values():
        picture.setflags(write=False)
    monkeypatch.setattr(check_answers, "pictures", lambda: small)
    monkeypatch.setattr(check_common, "SIDE", 128)
    report = check_stage(Catalog.discover().find("preprocessor", "autoencoder"))
    assert report["its weights are recorded"].said == "taef2/encoder, taef2/decoder"
    assert report["the seed is its only randomness"].said == "nothing is drawn"
    assert report["it keeps nothing of an image"].state == "passed"


class TestBench:
    def test_a_row_of_its_own_where_the_weights_are(self, weights: None) -> None:
        chosen = attack_set("core", (), Catalog.discover())
        assert [attack.name for attack in chosen.attacks] == [*CORE, "autoencoder"]
        assert (chosen.optional, chosen.notes) == ({"autoencoder"}, ())

    def test_a_note_where_they_are_not(self, cache: Path) -> None:
        chosen = attack_set("core", (), Catalog.discover())
        assert [attack.name for attack in chosen.attacks] == [*CORE]
        assert chosen.notes == (f"no row for 'autoencoder': {ABSENT}",)

    @pytest.mark.parametrize("here", [True, False], ids=["here", "absent"])
    def test_the_report(
        self, distributions: Distributions, tmp_path: Path, here: bool, request: Any, capsys: Any
    ) -> None:
        request.getfixturevalue("weights" if here else "cache")
        distributions.add_plugin("toy", PLUGIN)
        write_set(tmp_path / "set", 4, collections=2)
        (tmp_path / "toy.yaml").write_text(CHAIN, "utf-8")
        arguments = ["--data", str(tmp_path / "set"), "--protocol", "as-found", "--draws", "20"]
        assert main(["bench", str(tmp_path / "toy.yaml"), *arguments, "-o", str(tmp_path / "out")]) == Exit.OK
        result = json.loads((tmp_path / "out" / "bench.json").read_text("utf-8"))
        rows = [attack["name"] for attack in result["attacks"] if attack["optional"]]
        note = f"no row for 'autoencoder': {ABSENT}"
        lines = capsys.readouterr().out.splitlines()
        if here:
            assert (rows, result["notes"]) == (["autoencoder"], [])
            assert any(line.startswith("autoencoder ") for line in lines)
        else:
            assert (rows, result["notes"]) == ([], [note])
            assert f"note: {note}" in lines
            assert note in (tmp_path / "out" / "report.md").read_text("utf-8")


class TestTraining:
    def train(self, folder: Path) -> int:
        write_labelled_set(folder / "set", 4, height=24, width=24)
        recipe = RECIPE + block("yaml").replace("probability: 0.1", "probability: 1.0")
        assert "probability: 1.0" in recipe
        (folder / "recipe.yaml").write_text(recipe, "utf-8")
        more = ["--data", str(folder / "set"), "-o", str(folder / "w.safetensors"), "--workers", "2"]
        return main(["train", str(folder / "recipe.yaml"), *more])

    def test_tiles_go_through_it(self, weights: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from d2f_autoencoder.stage import Autoencoder

        seen: list[tuple[int, ...]] = []
        apply = Autoencoder.apply

        def watched(self: Autoencoder, pixels: Any, seed: int) -> Any:
            seen.append(pixels.shape)
            return apply(self, pixels, seed)

        monkeypatch.setattr(Autoencoder, "apply", watched)
        assert self.train(tmp_path) == Exit.OK
        assert set(seen) == {(16, 16, 3)}
        assert len(seen) >= 2 * 6

    def test_without_weights_it_says_so_before_any_image(self, cache: Path, tmp_path: Path, capsys: Any) -> None:
        assert self.train(tmp_path) != Exit.OK
        printed = capsys.readouterr().err
        assert "error[D2F502]: weights 'taef2' are not on this machine" in printed
        assert "d2f weights pull taef2" in printed
        assert "epoch 1" not in printed

    def test_pairs_stay_together(self, weights: None, tmp_path: Path) -> None:
        for number in range(4):
            file = tmp_path / "photographs" / "real" / f"source-{number % 2}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise_picture(24, 32, seed=number)).save(file)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        variables = {**os.environ, "PATH": path}
        done = subprocess.run(
            ["bash", "-ec", block("bash")], cwd=tmp_path, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        pairs = load_dataset(tmp_path / "pairs")
        assert pairs.describe() == "8 images: 4 real, 4 generated, 2 collections"
        assert {image.generator for image in pairs if image.label} == {"taef2"}
        numbers = components(pairs)
        parts = {(Path(image.path).stem, int(part)) for image, part in zip(pairs, numbers, strict=True)}
        assert len(parts) == 4
        for image in pairs:
            if image.label:
                original = Path(image.path.replace("generated/taef2", "real"))
                with Image.open(original) as one, Image.open(image.path) as other:
                    made = stage("autoencoder")
                    made.load()
                    assert np.array_equal(made.apply(np.asarray(one), 0), np.asarray(other))
