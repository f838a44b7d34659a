from __future__ import annotations

import pytest

from tests.distributions import installed

distributions = pytest.fixture(installed)
