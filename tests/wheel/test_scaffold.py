"""A stranger's first ten minutes, from the wheel in an empty environment: every scaffold installs, passes and runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from d2f.scaffold.new import SCAFFOLDS
from tests.environments import Environment

VARIANTS = {**{f"my-{kind}": (kind, False) for kind in SCAFFOLDS}, "my-learned": ("detector", True)}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workplace(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one new plugin of each variety, installed, and labelled pictures."""
    folder = tmp_path_factory.mktemp("workplace")
    for name, (kind, learned) in VARIANTS.items():
        options = ["--kind", kind, *(["--learned"] if learned else [])]
        done = environment.run("d2f", "plugin", "new", name, *options, cwd=folder)
        assert done.returncode == 0, done.stdout
        assert f"wrote d2f-{name}/" in done.stdout
    places = [f"./d2f-{name}" for name in VARIANTS]
    done = environment.run("pip", "install", "-q", *places, cwd=folder)
    assert done.returncode == 0, done.stdout
    environment.run("python", "-m", "d2f.testing", "labelled-set", "pictures", "10", cwd=folder)
    return folder


@pytest.mark.parametrize("name", VARIANTS)
def test_its_tests_pass(environment: Environment, workplace: Path, name: str) -> None:
    done = environment.run("pytest", "-q", "-p", "no:cacheprovider", f"d2f-{name}", cwd=workplace)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed in", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize("name", VARIANTS)
def test_its_chain_runs(environment: Environment, workplace: Path, name: str) -> None:
    done = environment.run("d2f", "chain", "run", f"d2f-{name}/{name}.yaml", "pictures/real/place-0", cwd=workplace)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^3 images: .* 0 failed$", done.stdout, re.MULTILINE), done.stdout


def test_checks(environment: Environment, workplace: Path) -> None:
    done = environment.run("d2f", "plugin", "check", "my-learned", cwd=workplace)
    assert done.returncode == 0, done.stdout
    assert "1 plugin checked: no problem; " in done.stdout
    assert done.stdout.count("✗") == 0


def test_the_learned_one_is_trained_anew(environment: Environment, workplace: Path) -> None:
    recipe = workplace / "d2f-my-learned" / "recipe.yaml"
    recipe.write_text(recipe.read_text("utf-8").replace("epochs: 12", "epochs: 2"), "utf-8")
    command = ["d2f", "train", str(recipe), "--data", "pictures", "-o", "new.safetensors"]
    done = environment.run(*command, cwd=workplace)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^new\.safetensors  sha256 [0-9a-f]{64}$", done.stdout, re.MULTILINE), done.stdout


RESNET = """\
d2f: 1
train: resnet
with: {depth: 20, stem: early}
data: {part: all, validation: 0.25}
tiles: {size: 64, count: 1}
copies: {windows: [96, 128], scale: false}
optimiser: {use: adamw, rate: 0.003}
batch: 8
epochs: 1
"""
MIXED = """\
d2f: 1
name: mixed
views:
  changed: [{use: my-preprocessor, with: {levels: 64}}]
detectors:
  - {use: resnet, with: {weights: resnet.safetensors, tile: 64}}
  - {use: noise-statistics}
  - {use: my-detector, views: [plain, changed]}
  - {use: my-learned}
calibrate:
  my-detector/plain: {use: my-calibrator}
combine: {use: my-combiner}
"""


@pytest.fixture(scope="module")
def mixed(environment: Environment, workplace: Path) -> Path:
    """A chain of built-in and strangers' stages, learned and handcrafted, and weights for the learned built-in one."""
    (workplace / "resnet.yaml").write_text(RESNET, "utf-8")
    environment.run("python", "-m", "d2f.testing", "labelled-set", "others", "10", "--seed", "5", cwd=workplace)
    train = ["d2f", "train", "resnet.yaml", "--data", "others", "-o", "resnet.safetensors"]
    done = environment.run(*train, cwd=workplace)
    assert done.returncode == 0, done.stdout
    (workplace / "mixed.yaml").write_text(MIXED, "utf-8")
    return workplace / "mixed.yaml"


def test_a_chain_of_all_of_them_is_fitted_run_and_benched(
    environment: Environment, workplace: Path, mixed: Path
) -> None:
    fit = ["d2f", "chain", "fit", mixed.name, "--data", "pictures", "-o", "fitted.yaml", "--attack", "jpeg:80"]
    done = environment.run(*fit, cwd=workplace)
    assert done.returncode == 0, done.stdout
    fitted = (workplace / "fitted.yaml").read_text("utf-8")
    assert "{use: my-calibrator, with: {slope:" in fitted
    assert "use: my-combiner" in fitted
    done = environment.run("d2f", "chain", "run", "fitted.yaml", "pictures", "--format", "jsonl", cwd=workplace)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count('"probability": 0.') >= 20
    bench = ["d2f", "bench", "fitted.yaml", "--data", "others", "--attack", "jpeg:60", "-o", "result"]
    done = environment.run(*bench, cwd=workplace)
    assert done.returncode == 0, done.stdout
    assert "area under the ROC curve" in done.stdout
