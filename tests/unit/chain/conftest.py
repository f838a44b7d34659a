from __future__ import annotations

from collections.abc import Callable

import pytest

from d2f.chain.check import Checked, check_text
from d2f.chain.yaml import text_of
from d2f.plugins.catalog import Catalog
from tests.unit.chain import stages


@pytest.fixture
def catalog() -> Catalog:
    """The stages of tests/unit/chain/stages.py alone."""
    return stages.catalog()


@pytest.fixture
def check(catalog: Catalog) -> Callable[[str], Checked]:
    """Check a chain file's text."""
    return lambda text, **more: check_text(text_of("chain.yaml", text), catalog, **more)
