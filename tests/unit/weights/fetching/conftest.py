from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.weights.fetching.server import Server, serving


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which fetched weights are kept."""
    monkeypatch.setenv("D2F_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running
