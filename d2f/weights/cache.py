"""The folder of what was fetched, named by digest."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from d2f.api.weights import Weights

FOLDER = "D2F_CACHE"
"""Environment variable: a folder to use instead of the platform's own."""

SUFFIXES = (".safetensors", ".npz")
"""Endings of the weights files that can be read."""


def cache_folder() -> Path:
    """Return d2f's cache folder, whether or not it exists.

    ``$D2F_CACHE``; else ``~/Library/Caches/d2f`` on macOS, ``$XDG_CACHE_HOME/d2f`` or ``~/.cache/d2f`` elsewhere.
    """
    if chosen := os.environ.get(FOLDER):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "d2f"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "d2f"


def cached_paths(record: Weights) -> tuple[Path, ...]:
    """Return where a fetched file may lie: ``weights/<sha256>`` in the cache folder, with either ending."""
    return tuple(cache_folder() / "weights" / f"{record.sha256}{suffix}" for suffix in SUFFIXES)
