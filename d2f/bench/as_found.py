"""What the files of a set give away as they came: format, size and quality, each asked for the label alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from d2f.data.dataset import Dataset
from d2f.data.facts.file_facts import FileFacts, read_facts
from d2f.measure import roc_auc
from d2f.reading.unread import ImageError

TELLING = 0.6
"""A share of right guesses, classes 50/50, from which a fact is said to give the label away."""

Fact = tuple[int, FileFacts]
"""A file's label and what its container says."""


def as_found(images: Dataset) -> list[str]:
    """Return, in words, how well each fact alone tells photographs from generated images; headers only are read.

    A file that cannot be read is left out; scoring tells of it.
    """
    facts = list(_facts(images))
    if len({label for label, _ in facts}) < 2:
        return []
    return [
        _of_format(facts),
        _ranked("longest side", [(label, max(fact.width, fact.height)) for label, fact in facts]),
        _ranked("bytes a pixel", [(label, fact.bytes_per_pixel) for label, fact in facts]),
        _ranked("JPEG quality", [(label, fact.quality) for label, fact in facts if fact.quality is not None]),
    ]


def _of_format(facts: list[Fact]) -> str:
    counts = [Counter(fact.format for own, fact in facts if own == label) for label in (0, 1)]
    totals = [sum(count.values()) for count in counts]
    names = sorted(set(counts[0]) | set(counts[1]))
    right = sum(max(counts[label][name] / totals[label] for label in (0, 1)) for name in names) / 2
    shares = ", ".join(
        f"{name} {counts[0][name] / totals[0]:.0%} of photographs and {counts[1][name] / totals[1]:.0%} of generated"
        for name in names
    )
    gives = "gives the label away" if right >= TELLING else "says little of the label"
    return f"file format {gives}: guessing by it is right {right:.0%} of the time, classes 50/50 ({shares})"


def _ranked(words: str, values: list[tuple[int, float]]) -> str:
    labels = np.array([label for label, _ in values], dtype=np.int8)
    area = roc_auc(labels, np.array([float(value) for _, value in values]))
    if np.isnan(area):
        return f"{words} is not known of both classes"
    area = max(area, 1 - area)
    gives = "gives the label away" if area >= TELLING else "says little of the label"
    return f"{words} {gives}: it ranks the classes with AUC {area:.2f}"


def _facts(images: Dataset) -> Iterator[Fact]:
    for image in images:
        try:
            yield image.label, read_facts(image.path)
        except ImageError:
            continue
