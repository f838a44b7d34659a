"""The scripts in docs/ find what they share beside themselves; their tests find it there too."""

from __future__ import annotations

import sys

from tests.docs.pages import DOCS

sys.path.append(str(DOCS))
