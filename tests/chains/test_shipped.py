"""The shipped chains: whole, fitted, without MLX, and with learned detectors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import d2f_clip_probe
import numpy as np
import pytest

from d2f import load_chain
from d2f.chain.chain import shipped_names
from d2f.data.dataset import load_dataset
from d2f.data.fetch import read_sources
from d2f.engine.findings import load_stages
from d2f.evaluate.out_of_fold import trained_on
from d2f.weights import WeightsFile, read_weights, short_digests
from tests.chains.fitted_set import digests, needs_data

# `fast`: whole, fitted, and without MLX.

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "images"


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)


def test_fast_is_fitted_and_every_member_calibrated() -> None:
    chain = load_chain("fast")
    assert chain.warnings == ()
    assert set(chain.file.calibrate) == set(chain.plan.member_names)
    assert chain.file.combine.use == "logistic"
    assert chain.file.fitted is not None
    assert chain.file.fitted.protocol == "whole"
    assert len(chain.file.fitted.attacks) >= 4


def test_fast_was_fitted_with_the_weights_that_ship() -> None:
    chain = load_chain("fast")
    shipped = {record.name: record.sha256 for detector in chain.plan.detectors for record in detector.stage.weights}
    assert chain.file.fitted.weights == shipped


def test_fast_runs_where_mlx_is_not_installed() -> None:
    code = """
import sys
for name in ("mlx", "mlx.core", "mlx.nn", "sklearn", "torch"):
    sys.modules[name] = None  # importing it raises ImportError
from d2f.cli.main import main
sys.exit(main(["chain", "run", sys.argv[1], sys.argv[2], "--format", "jsonl"]))
"""
    done = run(code, "fast", str(PICTURES))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(list(PICTURES.iterdir()))
    assert done.returncode == 0, done.stderr
    scored = [row for row in rows if row["probability"] is not None]
    assert scored
    assert all(row["verdict"] in ("generated", "real", "inconclusive") for row in rows)
    assert all(
        abs(member["contribution"]) < 20 for row in scored for member in row["stages"] if member["score"] is not None
    )


def test_fast_does_not_import_mlx() -> None:
    code = """
import sys, d2f
list(d2f.load_chain(sys.argv[1]).run([sys.argv[2]]))
print([name for name in sys.modules if name.partition(".")[0] in ("mlx", "sklearn", "torch")])
"""
    done = run(code, "fast", str(PICTURES))
    assert done.stdout.strip() == "[]", done.stderr


# Chains with learned detectors: fitted with the weights that ship, and what they say without the tower.

CLIP_PROBE = Path(d2f_clip_probe.__file__).parent

LEARNED = ("single", "triad", "robust", "deep")


@pytest.mark.parametrize("name", LEARNED)
def test_it_is_fitted_with_the_weights_that_ship_or_are_fetched(name: str) -> None:
    chain = load_chain(name)
    assert chain.warnings == ()
    assert set(chain.file.calibrate) == set(chain.plan.member_names)
    announced = {record.name: record.sha256 for detector in chain.plan.detectors for record in detector.stage.weights}
    assert chain.file.fitted is not None
    assert chain.file.fitted.weights == announced


@pytest.mark.parametrize("name", [name for name in shipped_names() if name != "deep"])
@needs_data
def test_its_weights_saw_nothing_of_the_validation_set(name: str) -> None:
    chain = load_chain(name)
    load_stages(chain.plan)
    val = digests(load_dataset(Path(os.environ["D2F_DATA"]) / "val"))
    assert [each.id for each in chain.plan.detectors if np.isin(val, trained_on(each.stage)).any()] == []


def head_of_deep() -> WeightsFile:
    return read_weights(str(CLIP_PROBE / "default.safetensors"))


@needs_data
def test_deep_was_fitted_out_of_fold_and_its_head_saw_nothing_of_the_validation_set() -> None:
    fitted, held = load_chain("deep").file.fitted, head_of_deep()
    assert fitted is not None
    assert held.trained_on is not None
    assert fitted.protocol == "whole"
    assert len((fitted.oof_weights or {})["clip"]) == 5
    assert fitted.images <= len(held.trained_on)
    val = load_dataset(Path(os.environ["D2F_DATA"]) / "val")
    assert not np.isin(digests(val), held.trained_on).any()


def test_the_listed_sources_of_deep_s_head_are_among_its_training_images() -> None:
    listed = [source.row["sha256"] for source in read_sources(str(CLIP_PROBE / "sources.csv"))]
    trained_on = head_of_deep().trained_on
    assert len(listed) > 500
    assert trained_on is not None
    assert np.isin(short_digests(listed), trained_on).all()


def test_deep_without_its_tower_does_not_start_and_says_how_to_fetch_it(tmp_path: Path) -> None:
    # In a process of its own: this one may hold the tower already.
    code = "import sys; from d2f.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = ["chain", "run", "deep", str(PICTURES / "camera-like.jpg"), "--format", "jsonl"]
    environment = {**os.environ, "D2F_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, env=environment)
    assert done.returncode == 3
    assert done.stdout == ""
    assert "d2f weights pull clip-vit-b16" in done.stderr


def test_robust_judges_with_nothing_fetched(tmp_path: Path) -> None:
    code = "import sys; from d2f.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = ["chain", "run", "robust", str(PICTURES), "--format", "jsonl", "-q"]
    environment = {**os.environ, "D2F_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = {Path(row["path"]).name: row["probability"] for row in map(json.loads, done.stdout.splitlines())}
    assert found["flat.png"] is found["tiny.png"] is None
    assert found["camera-like.jpg"] == pytest.approx(0.3076, abs=0.005)
    assert found["upsampled.jpg"] == pytest.approx(0.2770, abs=0.005)


def test_single_is_one_network_on_the_picture_as_it_is() -> None:
    assert load_chain("single").plan.member_names == ("resnet/plain",)


def test_triad_is_three_detectors_with_one_view_each() -> None:
    assert load_chain("triad").plan.member_names == ("resnet/plain", "frequency/plain", "noise/plain")
