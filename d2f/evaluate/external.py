"""Another tool's results, joined to the table beside the chains."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from d2f.api.errors import D2FError, Place, Problem
from d2f.data.dataset import WORDS
from d2f.engine.findings import clipped, logit
from d2f.evaluate.bench_systems import INCONCLUSIVE, Subject, Verdicts
from d2f.evaluate.score import CLEAN, ScoreTable

COLUMNS = ("path", "score", "attack", "probability", "verdict")
FEWEST = 0.5
"""A file that names a smaller share of the images is probably of another set."""


def read_peer(path: str, table: ScoreTable) -> Subject:
    """Read a results file of another tool."""
    rows, columns = _rows(path)
    by_path = _Places(table)
    shape = (len(table.images), len(table.copies))
    values, verdicts = np.full(shape, np.nan), np.zeros(shape, dtype=np.int8)
    calibrated = "probability" in columns
    for line, row in rows:
        place, attack = by_path.find(row["path"]), row.get("attack") or CLEAN
        if place is None or attack not in table.copies:
            continue
        copy = table.copies.index(attack)
        values[place, copy] = _number(path, line, row["probability" if calibrated else "score"], calibrated)
        verdicts[place, copy] = _verdict(row.get("verdict", ""))
    if np.isfinite(values[:, 0]).mean() < FEWEST:
        said = f"it names {int(np.isfinite(values[:, 0]).sum())} of the {shape[0]} images"
        raise _unreadable(path, said)
    own = _with_verdicts(values, verdicts, calibrated, "verdict" in columns)
    return Subject(Path(path).stem, "peer", *own, calibrated=calibrated)


def _with_verdicts(
    values: np.ndarray, verdicts: Verdicts, calibrated: bool, said: bool
) -> tuple[np.ndarray, Verdicts | None]:
    if not calibrated:
        return values, verdicts if said else None
    if not said:
        verdicts = (np.nan_to_num(values, nan=0.5) > 0.5).astype(np.int8) - (values < 0.5).astype(np.int8)
    return logit(clipped(values)), verdicts


class _Places:
    """Images found by the paths that another tool wrote."""

    def __init__(self, table: ScoreTable) -> None:
        self._by_ending: dict[str, int | None] = {}
        root = table.images.root if os.path.isdir(table.images.root) else os.path.dirname(table.images.root)
        self._root = os.path.normpath(root)
        for place, image in enumerate(table.images):
            parts = Path(os.path.normpath(image.path)).parts
            for start in range(len(parts)):
                ending = os.path.join(*parts[start:])
                self._by_ending[ending] = place if ending not in self._by_ending else None

    def find(self, path: str) -> int | None:
        """Return the image that a path names, if it names exactly one."""
        parts = Path(os.path.normpath(path)).parts
        for start in range(len(parts)):
            ending = os.path.join(*parts[start:])
            if ending in self._by_ending:
                return self._by_ending[ending]
        return None


def _rows(path: str) -> tuple[list[tuple[int, Mapping[str, str]]], set[str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", restkey="", strict=True)
            columns = set(reader.fieldnames or ())
            if "path" not in columns or not columns & {"score", "probability"}:
                raise _unreadable(path, "it needs the columns path and score, or path and probability", 1)
            return [(reader.line_num, row) for row in reader], columns
    except FileNotFoundError:
        raise D2FError.of("D2F002", f"there is no file '{path}'") from None
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error


def _number(path: str, line: int, text: str, probability: bool) -> float:
    try:
        value = float(text) if text.strip() else math.nan
    except ValueError:
        raise _unreadable(path, f"'{text}' is not a number", line) from None
    if math.isinf(value) or (probability and not math.isnan(value) and not 0 <= value <= 1):
        raise _unreadable(path, f"{text} is out of range", line)
    return value


def _verdict(word: str) -> int:
    label = WORDS.get(word.strip().lower())
    return INCONCLUSIVE if label is None else 2 * label - 1


def _unreadable(path: str, why: str, line: int = 0) -> D2FError:
    note = "scores are a CSV table with the columns path, score and, where it holds more than clean images, attack"
    return D2FError(
        Problem("D2F605", f"the scores cannot be read: {why}", Place(path, line, 1 if line else 0), notes=(note,))
    )
