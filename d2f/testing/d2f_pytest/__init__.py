"""Fixtures for plugin authors, offered to pytest by d2f's distribution.

pytest imports this module at the start of every run in an environment that has d2f, whoever's tests they
are. So it is a package of its own, imports nothing but pytest, and touches d2f only where a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from d2f.plugins.catalog import Catalog


@pytest.fixture
def d2f_catalog() -> Callable[..., Catalog]:
    """Return `d2f.testing.catalog_of`: the built-in stages and those that it is called with, nothing else.

    ``d2f.load_chain("chain.yaml", catalog=d2f_catalog(MyDetector))``
    """
    from d2f.testing import catalog_of

    return catalog_of


@pytest.fixture
def d2f_images() -> Mapping[str, Any]:
    """Return `d2f.testing.pictures()`: seeded pictures of many kinds by name, uint8 (height, width, 3), read-only."""
    from d2f.testing import pictures

    return pictures()


@pytest.fixture(scope="session")
def d2f_labelled_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 12 real and 12 generated pictures of 256 x 256, simulated; not to be written to."""
    from d2f.testing import write_labelled_set

    return write_labelled_set(tmp_path_factory.mktemp("d2f-labelled-set"))
