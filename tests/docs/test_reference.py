"""The generated pages are what the code makes now."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.docs.pages import DOCS


def make_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(make_reference().PAGES))
def test_page_is_current(name: str) -> None:
    made = make_reference().PAGES[name]()
    assert (DOCS / name).read_text("utf-8") == made, "run: python docs/make_reference.py"
