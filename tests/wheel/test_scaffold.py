"""A stranger's first ten minutes, from the wheel in an empty environment: every scaffold installs, passes and runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from d2f.scaffold import KINDS
from tests.environments import Environment

VARIANTS = {**{f"my-{kind}": (kind, False) for kind in KINDS}, "my-learned": ("detector", True)}
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


MIXED = """\
d2f: 1
name: mixed
views:
  changed: [{use: my-preprocessor, with: {levels: 64}}]
detectors:
  - {use: noise-statistics}
  - {use: my-detector, views: [plain, changed]}
  - {use: my-learned}
calibrate:
  my-detector/plain: {use: my-calibrator}
combine: {use: my-combiner}
"""


def test_a_chain_of_all_of_them_is_fitted_and_run(environment: Environment, workplace: Path) -> None:
    (workplace / "mixed.yaml").write_text(MIXED, "utf-8")
    fit = ["d2f", "chain", "fit", "mixed.yaml", "--data", "pictures", "-o", "fitted.yaml", "--attack", "jpeg:80"]
    done = environment.run(*fit, cwd=workplace)
    assert done.returncode == 0, done.stdout
    fitted = (workplace / "fitted.yaml").read_text("utf-8")
    assert "{use: my-calibrator, with: {slope:" in fitted
    assert "use: my-combiner" in fitted
    done = environment.run("d2f", "chain", "run", "fitted.yaml", "pictures", "--format", "jsonl", cwd=workplace)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count('"probability": 0.') >= 20
