"""Labelled sets scored (`score.py`), chains fitted (`fit.py`), ablated (`ablate.py`) and benched (`bench.py`)."""

from __future__ import annotations
