"""Pages held to the code: generated ones, the grids of the bench, extras, the table of situations."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from d2f.data.dataset import load_dataset
from d2f.evaluate.attacks import CORE, FULL
from d2f.metrics.figures import FIGURES
from d2f.plugins.catalog import Catalog
from tests.docs.pages import DOCS, ROOT, blocks, docs_script
from tests.unit.evaluate.bench_toys import bench, chain
from tests.unit.evaluate.toys import write_set

# The generated pages are what the code makes now.


@pytest.mark.parametrize("name", sorted(docs_script("make_reference").PAGES))
def test_page_is_current(name: str) -> None:
    made = docs_script("make_reference").PAGES[name]()
    assert (DOCS / name).read_text("utf-8") == made, "run: python docs/make_reference.py"


# docs/reference/bench.md names every grid's attack, figure and key that there is.

BENCH = (DOCS / "reference" / "bench.md").read_text("utf-8")


def test_grids() -> None:
    listed = re.findall(r"^\| (core, full|full) \| `([^`]+)` \| `([^`]+)` \|$", BENCH, re.MULTILINE)
    assert {name: spec for _, name, spec in listed} == FULL
    assert {name for grid, name, _ in listed if grid == "core, full"} == set(CORE)


def test_figures_and_their_directions() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| (more|less) \|", BENCH, re.MULTILINE)
    listed = {name: better for names, better in rows for name in re.findall(r"`(\w+)`", names)}
    assert listed == {name: "more" if figure.better > 0 else "less" for name, figure in FIGURES.items()}


def test_keys(tmp_path) -> None:
    write_set(tmp_path / "set", 20, collections=4)
    _, found = bench([chain(tmp_path / "chain")], load_dataset(tmp_path / "set"), ("noise:2",))
    said = set(re.findall(r"`(\w+)`", BENCH))
    assert set(found) <= said
    assert set(found["systems"][0]) <= said


# A page that uses a stage which d2f's own dependencies do not suffice for says what to install.

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
USES = re.compile(r"\b(?P<key>use|train): ?(?P<name>[a-z0-9-]+)")


def names(requirements: list[str]) -> set[str]:
    return {Requirement(text).name for text in requirements}


def needed() -> dict[tuple[str, str], set[str]]:
    """Return what each stage needs beside d2f's own dependencies, by the word before its name in a file."""
    catalog, own = Catalog.discover(), names(PROJECT["dependencies"])
    words = {"trainable": "train"}
    kinds = ("detector", "preprocessor", "calibrator", "combiner", "precondition", "evidence", "trainable")
    stages = [(words.get(kind, "use"), stage) for kind in kinds for stage in catalog.stages(kind)]
    found = {(word, stage.name): names(list(getattr(stage, "requires", ()))) - own for word, stage in stages}
    return {use: more for use, more in found.items() if more}


def used(page: Path) -> set[tuple[str, str]]:
    text = "\n".join(block.body for block in blocks(page.read_text("utf-8")))
    return {(match["key"], match["name"]) for match in USES.finditer(text)}


NEEDED = needed()
PAGES = [page for page in sorted([*DOCS.rglob("*.md"), ROOT / "README.md"]) if used(page) & NEEDED.keys()]


def test_estimators_and_foreign_models_are_among_them() -> None:
    assert NEEDED["train", "noise-statistics"] == {"scikit-learn"}
    assert NEEDED["use", "onnx"] == {"onnxruntime"}
    assert {page.name for page in PAGES} >= {"calibrate.md", "run-a-foreign-detector.md"}


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_page_names_an_extra_or_the_packages(page: Path) -> None:
    text = page.read_text("utf-8")
    extras = {extra for listed in re.findall(r"(?:d2f|\.)\[([a-z0-9,]+)\]", text) for extra in listed.split(",")}
    installed = {name for extra in extras for name in names(PROJECT["optional-dependencies"].get(extra, []))}
    installed |= {word for line in re.findall(r"pip install ([^\n`]+)", text) for word in re.findall(r"[\w-]+", line)}
    for use in sorted(used(page) & NEEDED.keys()):
        assert NEEDED[use] <= installed, f"{page.relative_to(ROOT)} uses {use[1]} and does not say how to install it"


# The table of situations: every one is there, and the test that it names exists.

SITUATIONS = [
    line.strip("|").split("|")
    for line in (DOCS / "research" / "situations.md").read_text("utf-8").splitlines()
    if re.match(r"\| [A-D]\d", line)
]
NUMBERS = {"A": 13, "B": 11, "C": 6, "D": 12}


def test_every_situation_has_one_row() -> None:
    assert [row[0].strip() for row in SITUATIONS] == [
        f"{kind}{n}" for kind, most in NUMBERS.items() for n in range(1, most + 1)
    ]


@pytest.mark.parametrize("row", SITUATIONS, ids=[row[0].strip() for row in SITUATIONS])
def test_its_test_exists(row: list[str]) -> None:
    assert all(cell.strip() for cell in row)
    file, _, name = row[-1].strip().strip("`").partition("::")
    assert re.search(rf"^ *def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
