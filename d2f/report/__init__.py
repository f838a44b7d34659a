"""A result as one self-contained HTML page: no script, no network, figures in SVG."""

from __future__ import annotations
