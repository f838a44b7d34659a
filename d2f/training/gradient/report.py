"""What a person looks at after a run: model card, figures, the worst mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset
from d2f.training.gradient.card import card
from d2f.training.gradient.gallery import Mistake, gallery
from d2f.training.gradient.log import read_log
from d2f.training.gradient.measuring import Measured
from d2f.training.gradient.plots import write_plots
from d2f.training.gradient.recipe import NetworkRecipe

WORST = 48
"""Mistakes that are listed."""


def write_report(
    folder: Path, recipe: NetworkRecipe, facts: dict[str, str], figures: dict[str, Measured], validation: Dataset
) -> Iterator[str]:
    """Write the report's files into a run folder, and yield what there is to say of them.

    Raises
    ------
    D2FError
        D2F004: a file cannot be written.
    """
    clean = figures["clean"]
    epochs = read_log(folder / "log.jsonl", "epoch")
    worst = mistakes(validation, clean)
    lines = "".join(json.dumps(one.row(), ensure_ascii=False) + "\n" for one in worst)
    try:
        (folder / "card.md").write_text(card(recipe, facts, figures, epochs), encoding="utf-8")
        (folder / "mistakes.jsonl").write_text(lines, encoding="utf-8")
        (folder / "mistakes.html").write_text(gallery(worst), encoding="utf-8")
        said = write_plots(folder, epochs, clean)
    except OSError as error:
        raise D2FError.of("D2F004", f"'{folder}' cannot be written: {error.strerror}") from error
    if said:
        yield said
    yield f"{len(worst)} mistakes are shown in {folder / 'mistakes.html'}"


def mistakes(dataset: Dataset, measured: Measured) -> list[Mistake]:
    """Return the images that were called wrong with the greatest scores, the worst first."""
    margin = np.where(dataset.labels == 1, -measured.scores, measured.scores)
    order = np.argsort(-np.nan_to_num(margin, nan=-np.inf), kind="stable")
    chosen = [int(i) for i in order[:WORST] if margin[i] > 0]
    return [Mistake(dataset[i], float(measured.scores[i])) for i in chosen]
