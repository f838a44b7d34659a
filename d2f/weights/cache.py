"""The folder of what was fetched, named by digest."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

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


def weights_folder() -> Path:
    """Return the folder of the weights files in the cache, whether or not it exists."""
    return cache_folder() / "weights"


def cached_paths(record: Weights) -> tuple[Path, ...]:
    """Return where a fetched file may lie: ``weights/<sha256>`` in the cache folder, with the ending of a source."""
    endings = dict.fromkeys((*map(_ending, record.sources), *SUFFIXES))
    return tuple(weights_folder() / f"{record.sha256}{ending}" for ending in endings)


def _ending(source: str) -> str:
    """Return the ending of the file that a source names, such as ``.onnx``; empty where it is none."""
    path = urlsplit(source).path if source.startswith(("https:", "http:")) else source.rpartition("@")[0] or source
    suffix = PurePosixPath(path).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,16}", suffix) else ""
