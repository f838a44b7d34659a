"""The page of measured tables is of the chains that ship, and of no particular machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from d2f.chain.load import load_chain
from d2f.chain.shipped import shipped_names
from d2f.data.dataset import load_dataset
from tests.docs.pages import DOCS
from tests.unit.bench.toys import bench, chain
from tests.unit.fitting.toys import write_set


def make_measured() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_measured", DOCS / "make_measured.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_chain_is_measured_as_it_is(name: str) -> None:
    page = (DOCS / "reference" / "measured.md").read_text("utf-8")
    said = f"chain {name}, digest {load_chain(name).digest[:12]}:"
    assert said in page, "run: python docs/make_measured.py $D2F_DATA/val measured"


def test_the_page_names_no_file_and_no_folder_of_the_machine(tmp_path: Path) -> None:
    write_set(tmp_path / "set", 20, collections=2)
    (tmp_path / "set/real/hands0/0.png").write_bytes(b"")
    _, found = bench([chain(tmp_path / "chain")], load_dataset(tmp_path / "set"), ("noise:2",))
    page = make_measured().page(found, "$D2F_DATA/val")
    assert str(tmp_path) not in page
    assert "39 images of `$D2F_DATA/val`" in page.replace("\n", " ")
    assert page.startswith("# Measured\n")
    assert page.count("\n# ") == 0
    assert "## Speed" not in page
    assert "| noise:sigma=2 | " in page
