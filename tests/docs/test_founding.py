"""The founding experiments: recipes that are valid and quick, data apart, tables that say what the logs say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from d2f.data.dataset import load_dataset
from d2f.plugins.catalog import Catalog
from d2f.train.read import read_recipe
from d2f.train.recipe import NetworkRecipe
from tests.docs.pages import DOCS, ROOT
from tests.unit.evaluate.toys import write_set

PLUGIN = ROOT / "plugins" / "d2f_resnet"
STUDIES = ("overfitting", "balance", "residual", "logits")
FIXED = {"tiles", "copies", "optimiser", "schedule", "batch", "stop", "seed"}


def make_founding() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_founding", DOCS / "make_founding.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recipe(name: str) -> NetworkRecipe:
    read = read_recipe(PLUGIN / f"founding-{name}.yaml", Catalog.discover())
    assert isinstance(read, NetworkRecipe)
    return read


def test_the_studies_are_the_recipes_that_ship() -> None:
    assert {path.stem for path in PLUGIN.glob("founding-*.yaml")} == {f"founding-{name}" for name in STUDIES}
    assert make_founding().STUDIES == STUDIES


@pytest.mark.parametrize("name", STUDIES)
def test_a_recipe_is_valid_quick_and_differs_only_in_its_question(name: str) -> None:
    read, base = recipe(name), recipe("logits")
    for key in FIXED:
        assert getattr(read, key) == getattr(base, key), key
    assert read.stop.patience is None
    assert read.balance.tiles is not None
    # A ResNet-20 with an early stem takes about 6 ms a tile of 96 pixels on one core: two minutes a run.
    assert read.epochs * read.balance.tiles * read.with_["depth"] / 20 * 0.006 < 120
    assert read.data.validation == "founding/validation.csv"


@pytest.mark.parametrize("name", STUDIES)
def test_a_recipe_and_the_page_say_the_same_command(name: str) -> None:
    page = (DOCS / "research" / "founding-experiments.md").read_text("utf-8")
    head = [line[1:].strip() for line in (PLUGIN / f"founding-{name}.yaml").read_text("utf-8").splitlines()[2:4]]
    assert " ".join(head).replace("\\ ", "") in " ".join(page.replace("\\\n", " ").split())


def test_the_data_share_no_hands(tmp_path: Path) -> None:
    write_set(tmp_path / "set", 150, collections=30)
    make_founding().write_data(str(tmp_path / "set"), tmp_path)
    training, few, held = (load_dataset(tmp_path / f"{one}.csv") for one in ("training", "unbalanced", "validation"))
    assert len(training) > len(held) > 0
    assert not set(training.collections) & set(held.collections)
    assert {Path(image.path).resolve() for image in few} <= {Path(image.path).resolve() for image in training}
    assert set(held.labels.tolist()) == {0, 1}


def test_a_table_says_what_the_log_says(tmp_path: Path) -> None:
    run = tmp_path / "logits" / "one.run"
    run.mkdir(parents=True)
    losses = ((0.9, 0.7), (0.5, 0.6), (0.1, 0.8))
    events = [epoch(number, *pair) for number, pair in enumerate(losses, 1)]
    (run / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    rows = [{"trial": "with.logits=1", "weights": "one.safetensors", "figures": {}}, {"trial": "x", "error": "no"}]
    (tmp_path / "logits" / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (text,) = make_founding().tables(tmp_path)
    expected = "| with.logits=1 | 0.900 | 0.100 | 0.600 (2) | 0.800 | 0.625 | 0.650 | 0.75 / 0.50 | 6 |"
    assert text.splitlines()[-1] == expected
    assert text.startswith("logits\n\n| run |")


def epoch(number: int, loss: float, held: float) -> dict[str, Any]:
    figures = {"loss": held, "balanced_accuracy": 0.625, "auc": 0.65, "confusion": [[3, 1], [2, 2]]}
    return {
        "event": "epoch",
        "epoch": number,
        "loss": loss,
        "validation": figures,
        "seconds": 1.5,
        "validation_seconds": 0.5,
    }
