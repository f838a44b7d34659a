"""The project's one fetcher: weights brought into the user's cache, on request only, by their digest."""

from __future__ import annotations

from d2f.weights.fetching.pull import Pulled, pull

__all__ = ["Pulled", "pull"]
