"""Where a run writes: seen to be free before the long work, not after it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError
from d2f.weights import read_weights

FACTS = {"d2f", "trainable", "recipe", "data"}
"""What weights and journals of every run say of themselves."""


def need_free(paths: Iterable[Path], overwrite: bool = False, option: str = "-o") -> None:
    """Refuse files that are there and that no training made, unless they are to be replaced; and what can be no file.

    `option` is what names them.
    """
    for path in paths:
        need_place(path, option)
        if os.path.isdir(path):
            raise D2FError.of("D2F004", f"'{path}' is a folder", f"choose another place with {option}")
        if not overwrite and os.path.lexists(path) and not made_by_training(path):
            message = f"'{path}' is there already, and `d2f train` did not make it"
            raise D2FError.of("D2F004", message, f"to replace it: --overwrite; or choose another place with {option}")


def made_by_training(path: Path) -> bool:
    """Say whether a file is one that a run leaves: weights, their copy as .npz, or a journal."""
    try:
        if path.suffix == ".jsonl":
            with path.open(encoding="utf-8") as file:
                line = file.readline()
            # A run that was ended while it made features leaves its journal empty.
            return not line or _begins_a_journal(json.loads(line))
        if path.suffix == ".npz":
            beside = path.with_suffix(".safetensors")
            return made_by_training(beside) and read_weights(path).arrays.keys() == read_weights(beside).arrays.keys()
        return read_weights(path).metadata.keys() >= FACTS
    except (D2FError, OSError, ValueError):
        return False


def _begins_a_journal(event: Any) -> bool:
    return isinstance(event, dict) and event.get("event") == "data" and event.keys() >= FACTS


def need_place(path: Path, option: str = "-o") -> None:
    """Refuse a path that leads through a file."""
    above = next((one for one in path.parents if os.path.lexists(one)), None)
    if above is not None and not os.path.isdir(above):
        raise D2FError.of(
            "D2F004", f"'{path}' cannot be written: '{above}' is a file, not a folder", f"choose another {option}"
        )


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise D2FError.of("D2F004", f"'{folder}' cannot be made: {error.strerror}") from error
