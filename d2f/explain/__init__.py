"""Why a verdict: `explain.py` tells it."""

from __future__ import annotations

from d2f.explain.explain import Explanation, explain_image, save

__all__ = ["Explanation", "explain_image", "save"]
