"""What a person looks at after a run: model card, figures, the worst mistakes."""

from __future__ import annotations

import base64
import html
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset, Labelled
from d2f.train.folder import read_log
from d2f.train.measuring import Measured
from d2f.train.network_recipe import NetworkRecipe

SIDE = 192
"""The longer side of a thumbnail, in pixels."""

STYLE = (
    "body{font:14px system-ui;margin:2em}main{display:flex;flex-wrap:wrap;gap:1em}"
    "figure{margin:0;width:192px}figcaption{overflow-wrap:anywhere;font-size:12px}"
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """An image that was called wrong, and its score: above 0 it was called generated."""

    image: Labelled
    score: float

    def row(self) -> dict[str, Any]:
        """Return it as plain data."""
        image = self.image
        label = "generated" if image.label else "real"
        more = {"generator": image.generator, "source": image.source, "collection": image.collection}
        return {"path": image.path, "label": label, "score": round(self.score, 4), **more}


def gallery(mistakes: list[Mistake]) -> str:
    """Return the page, complete in itself."""
    figures = "\n".join(_figure(one) for one in mistakes) or "<p>None.</p>"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Worst mistakes</title><style>{STYLE}</style>'
    return f"{head}<h1>Worst mistakes</h1><main>\n{figures}\n</main></html>\n"


def _figure(mistake: Mistake) -> str:
    row = mistake.row()
    words = [
        f"{row['label']}, score {row['score']:+.2f}",
        row["generator"] or row["source"],
        os.path.basename(row["path"]),
    ]
    caption = "<br>".join(html.escape(word) for word in words if word)
    return f"<figure>{_thumbnail(row['path'])}<figcaption>{caption}</figcaption></figure>"


def _thumbnail(path: str) -> str:
    from PIL import Image

    from d2f.images.read import read_image

    try:
        pixels = read_image(path).pixels
    except D2FError:
        return "<p>no longer readable</p>"
    picture, buffer = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(buffer, "JPEG", quality=85)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def card(
    recipe: NetworkRecipe, facts: dict[str, str], figures: dict[str, Measured], epochs: list[dict[str, Any]]
) -> str:
    """Return the card in Markdown."""
    clean = figures["clean"]
    waited = sum(epoch["waited"] for epoch in epochs) / max(sum(epoch["seconds"] for epoch in epochs), 1e-9)
    blocks = [
        f"# {recipe.train}",
        f"Trained by `d2f train` {facts['d2f']} on {facts['images']} images of {facts['collections']} collections, "
        f"best in epoch {facts['epoch']} of {len(epochs)}. The device waited for images {waited:.0%} of the time.",
        _table(("fact", "value"), [(name, f"`{facts[name]}`") for name in ("options", "recipe", "data", "seed")]),
        "## Measured",
        f"On {clean.images} images that were not trained on{_apart(recipe)}; they chose the best epoch, so that new "
        "images may fare worse. An image counts as generated where its score is above 0.",
        figures_table(figures),
        "## By generator",
        _table(("images of", "called right"), [(name, f"{share:.3f}") for name, share in clean.generators.items()]),
        "## Confusion",
        _table(
            ("", "called real", "called generated"),
            [(name, *map(str, row)) for name, row in zip(("real", "generated"), clean.confusion, strict=True)],
        ),
        "## Recipe",
        f"```json\n{json.dumps(recipe.model_dump(mode='json', by_alias=True), indent=2)}\n```",
        "A score is no probability: `d2f chain fit` makes one of it, on images that were not trained on.",
    ]
    return "\n\n".join(blocks) + "\n"


def _apart(recipe: NetworkRecipe) -> str:
    return "" if isinstance(recipe.data.validation, str) else " and share no collection with those that were"


def figures_table(figures: dict[str, Measured]) -> str:
    """Return figures by name as a table in Markdown."""
    head = ("under", "images", "loss", "accuracy", "balanced accuracy", "F1", "AUC")
    rows = []
    for name, one in figures.items():
        numbers = (one.loss, one.accuracy, one.balanced_accuracy, one.f1, one.auc)
        rows.append((name, str(one.images), *(f"{number:.3f}" for number in numbers)))
    return _table(head, rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


ABSENT = "no plots: matplotlib is not installed (pip install 'd2f[train]')"


def write_plots(folder: Path, epochs: list[dict[str, Any]], clean: Measured) -> str:
    """Write ``curves.png`` and ``confusion.png``; return what there is to say, empty if nothing."""
    if find_spec("matplotlib") is None:
        return ABSENT
    curves(epochs).savefig(folder / "curves.png", dpi=120)
    _confusion(clean).savefig(folder / "confusion.png", dpi=120)
    return ""


def curves(epochs: list[dict[str, Any]]) -> Any:
    """Return a figure of loss and of accuracy and AUC by epoch, the best epoch marked."""
    # A figure of its own, never pyplot's: no window, no state that others share.
    from matplotlib.figure import Figure

    figure = Figure((9, 3.6), layout="constrained")
    losses, rights = figure.subplots(1, 2)
    numbers = [epoch["epoch"] for epoch in epochs]
    best = [epoch["epoch"] for epoch in epochs if epoch["best"]][-1:]
    losses.plot(numbers, [epoch["loss"] for epoch in epochs], label="training")
    losses.plot(numbers, [epoch["validation"]["loss"] for epoch in epochs], label="validation")
    for name in ("accuracy", "auc"):
        rights.plot(numbers, [epoch["validation"][name] for epoch in epochs], label=f"validation {name}")
    rights.set_ylim(0, 1.02)
    # Places of their own: matplotlib's search for the best one warns where it is slow.
    for axes, what, place in ((losses, "loss, nats", "upper right"), (rights, "share", "lower right")):
        for epoch in best:
            axes.axvline(epoch, color="grey", linestyle=":", label=f"best epoch, {epoch}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(what)
        axes.legend(loc=place)
    return figure


def _confusion(clean: Measured) -> Any:
    from matplotlib.figure import Figure

    figure = Figure((3.6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(clean.confusion, cmap="Blues", vmin=0)
    names = ("real", "generated")
    axes.set_xticks((0, 1), [f"called {name}" for name in names])
    axes.set_yticks((0, 1), names)
    greatest = max(max(row) for row in clean.confusion)
    for i, row in enumerate(clean.confusion):
        for j, count in enumerate(row):
            axes.text(j, i, str(count), ha="center", va="center", color="white" if count > greatest / 2 else "black")
    return figure


WORST = 48
"""Mistakes that are listed."""


def write_report(
    folder: Path, recipe: NetworkRecipe, facts: dict[str, str], figures: dict[str, Measured], validation: Dataset
) -> Iterator[str]:
    """Write the report's files into a run folder, and yield what there is to say of them."""
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
