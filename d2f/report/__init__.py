"""What reports share: tables (`tables.py`), charts, self-contained pages, thumbnails."""

from __future__ import annotations
