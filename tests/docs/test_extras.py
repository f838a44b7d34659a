"""A page that uses a stage which d2f's own dependencies do not suffice for says what to install."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from d2f.plugins.catalog import Catalog
from tests.docs.pages import DOCS, ROOT, blocks

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
