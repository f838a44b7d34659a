"""Every example in a docstring of d2f and its plugins runs."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules() -> list[str]:
    """Return the names of all modules of d2f and of its plugins that hold an example."""
    files = [*(ROOT / "d2f").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    names = []
    for file in sorted(files):
        if ">>> " in file.read_text("utf-8"):
            base = ROOT / "plugins" if (ROOT / "plugins") in file.parents else ROOT
            names.append(".".join(file.relative_to(base).with_suffix("").parts).removesuffix(".__init__"))
    return names


@pytest.mark.parametrize("name", modules())
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert result.attempted > 0
    assert result.failed == 0
