"""The shipped chains with learned detectors: fitted with the weights that ship, and what they say without the tower."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from d2f import load_chain
from d2f.data.groups import digest
from tests.chains.fitted_set import fitted_set, need_edition_of, needs_data, seen_by

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "images"
NAMES = ("single", "triad", "deep")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_fitted_with_the_weights_that_ship_or_are_fetched(name: str) -> None:
    chain = load_chain(name)
    assert chain.warnings == ()
    assert set(chain.file.calibrate) == set(chain.plan.member_names)
    announced = {record.name: record.sha256 for detector in chain.plan.detectors for record in detector.stage.weights}
    assert chain.file.fitted is not None
    assert chain.file.fitted.weights == announced


@pytest.mark.parametrize("name", NAMES)
@needs_data
def test_it_was_fitted_on_the_part_chains_without_the_older_small_crops(name: str) -> None:
    need_edition_of(load_chain(name), fitted_set("chains"))
    fitted = load_chain(name).file.fitted
    assert fitted is not None
    assert fitted.data == digest(fitted_set("chains"))


@pytest.mark.parametrize("name", NAMES)
@needs_data
def test_oof_weights_are_named_of_the_detectors_that_saw_the_images_and_of_no_others(name: str) -> None:
    chain = load_chain(name)
    assert chain.file.fitted is not None
    need_edition_of(chain, fitted_set("chains"))
    assert seen_by(chain, fitted_set("chains")) == set(chain.file.fitted.oof_weights or {})


def test_deep_without_its_tower_judges_by_the_rest_and_says_how_to_fetch_it(tmp_path: Path) -> None:
    # In a process of its own: this one may hold the tower already.
    code = "import sys; from d2f.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = ["chain", "run", "deep", str(PICTURES / "camera-like.jpg"), "--format", "jsonl"]
    environment = {**os.environ, "D2F_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, env=environment)
    assert done.returncode in (0, 1)
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    clip, noise = row["stages"]
    assert clip["score"] is None
    assert noise["score"] is not None
    assert row["probability"] is not None
    assert "d2f weights pull clip-vit-b16" in done.stderr


def test_single_is_one_network_on_the_picture_as_it_is() -> None:
    assert load_chain("single").plan.member_names == ("resnet/plain",)


def test_triad_is_three_detectors_with_one_view_each() -> None:
    assert load_chain("triad").plan.member_names == ("resnet/plain", "frequency/plain", "noise/plain")
