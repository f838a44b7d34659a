"""Figures of validation; what a person looks at after a run: card, plots, worst mistakes, TensorBoard's scalars."""

from __future__ import annotations

import html
import io
import json
import math
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset, Labelled
from d2f.metrics import balanced_accuracy, roc_auc
from d2f.report.page import figure, gallery, inline
from d2f.report.tables import markdown_table
from d2f.train.folder import LOG, read_log, write_output
from d2f.train.recipe import EstimatorRecipe, NetworkRecipe

WATCHED = ("loss", "accuracy", "balanced_accuracy", "f1", "auc")
"""Figures of validation that a log, a study and TensorBoard hold."""

HEAD = ("under", "images", "loss", "accuracy", "balanced accuracy", "F1", "AUC", "AUC within two-class collections")


@dataclass(frozen=True, slots=True)
class ValidationFigures:
    """Figures under one attack; what cannot be measured is not a number."""

    images: int
    loss: float
    accuracy: float
    balanced_accuracy: float
    f1: float
    auc: float
    two_class_auc: float
    collections: dict[str, float]
    generators: dict[str, float]
    confusion: list[list[int]]
    scores: Floats = field(repr=False)  # (images,), NaN where an image has none

    def row(self) -> dict[str, Any]:
        """Return the figures as plain data, without the scores."""
        plain = asdict(self)
        plain.pop("scores")
        return plain

    def watched(self, name: str) -> float:
        """Return a figure such that less is better."""
        value = float(getattr(self, name))
        value = value if name == "loss" else -value
        return math.inf if math.isnan(value) else value


def validation_figures(dataset: Dataset, scores: Floats, loss: float = math.nan) -> ValidationFigures:
    """Measure scores (n,) of a set's images, NaN where an image has none; the loss is the fitter's own, in nats."""
    there = ~np.isnan(scores)
    images = [image for image, has in zip(dataset, there, strict=True) if has]
    labels, called = dataset.labels[there], scores[there] > 0
    table = np.bincount(2 * labels + called, minlength=4).reshape(2, 2).tolist()
    (_, false), (missed, hit) = table
    within = _within_collections(images, labels, scores[there])
    return ValidationFigures(
        images=len(images),
        loss=loss,
        accuracy=float((called == labels).mean()),
        balanced_accuracy=float(balanced_accuracy(labels, scores[there], 0.0)),
        f1=2 * hit / (2 * hit + false + missed) if hit + false + missed else math.nan,
        auc=roc_auc(labels, scores[there]),
        two_class_auc=float(np.mean(list(within.values()))) if within else math.nan,
        collections=within,
        generators=_by_generator(images, called == labels),
        confusion=table,
        scores=scores,
    )


def figures_table(figures: Mapping[str, ValidationFigures]) -> str:
    """Return figures by name as a table in Markdown."""
    rows = []
    for name, one in figures.items():
        numbers = (one.loss, one.accuracy, one.balanced_accuracy, one.f1, one.auc, one.two_class_auc)
        rows.append((name, str(one.images), *("" if math.isnan(number) else f"{number:.3f}" for number in numbers)))
    return "\n".join(markdown_table(HEAD, rows))


def _within_collections(images: list[Any], labels: Labels, scores: Floats) -> dict[str, float]:
    """Return the AUC within each collection that holds both labels: there, only what makes an image generated tells."""
    names = np.array([image.collection for image in images])
    found = {}
    for name in np.unique(names).tolist():
        chosen = names == name
        if len(np.unique(labels[chosen])) == 2:
            found[name] = roc_auc(labels[chosen], scores[chosen])
    return found


def _by_generator(images: list[Any], right: NDArray[np.bool_]) -> dict[str, float]:
    names = np.array([(image.generator or "unnamed") if image.label else "real" for image in images])
    return {str(name): float(right[names == name].mean()) for name in np.unique(names)}


SIDE = 192
"""The longer side of a thumbnail, in pixels."""

WORST = 48
"""Mistakes that are listed."""

NO_PLOTS = "no plots: matplotlib is not installed (pip install 'd2f[train]')"
NO_SCALARS = "no TensorBoard scalars: tensorboardX is not installed (pip install 'd2f[train]')"


def write_report(
    folder: Path,
    recipe: EstimatorRecipe | NetworkRecipe,
    facts: dict[str, str],
    figures: dict[str, ValidationFigures],
    measured_on: Dataset,
) -> Iterator[str]:
    """Write the report's files into a run folder, and yield messages about them."""
    clean = figures["clean"]
    epochs = read_log(folder / LOG, "epoch")
    worst = mistakes(measured_on, clean)
    write_output(folder / "card.md", card(recipe, facts, figures, epochs))
    lines = "".join(json.dumps(one.row(), ensure_ascii=False) + "\n" for one in worst)
    write_output(folder / "mistakes.jsonl", lines)
    write_output(folder / "mistakes.html", gallery("Worst mistakes", "", [_mistake_figure(one) for one in worst]))
    if find_spec("matplotlib") is None:
        yield NO_PLOTS
    else:
        if epochs:
            write_output(folder / "curves.png", png(learning_curves(epochs)))
        write_output(folder / "confusion.png", png(_confusion_plot(clean)))
    yield f"{len(worst)} mistakes are shown in {folder / 'mistakes.html'}"


@dataclass(frozen=True, slots=True)
class Mistake:
    """An image on the wrong side of 0, and its score: above 0 it was called generated."""

    image: Labelled
    score: float

    def row(self) -> dict[str, Any]:
        """Return it as plain data."""
        image = self.image
        label = "generated" if image.label else "real"
        more = {"generator": image.generator, "source": image.source, "collection": image.collection}
        return {"path": image.path, "label": label, "score": round(self.score, 4), **more}


def mistakes(dataset: Dataset, figures: ValidationFigures) -> list[Mistake]:
    """Return the images that were called wrong with the greatest scores, the worst first."""
    margin = np.where(dataset.labels == 1, -figures.scores, figures.scores)
    order = np.argsort(-np.nan_to_num(margin, nan=-np.inf), kind="stable")
    chosen = [int(i) for i in order[:WORST] if margin[i] > 0]
    return [Mistake(dataset[i], float(figures.scores[i])) for i in chosen]


def _mistake_figure(mistake: Mistake) -> str:
    row = mistake.row()
    words = [
        f"{row['label']}, score {row['score']:+.2f}",
        row["generator"] or row["source"],
        os.path.basename(row["path"]),
    ]
    caption = "<br>".join(html.escape(word) for word in words if word)
    return figure(inline(row["path"], SIDE, 85, "<p>no longer readable</p>"), caption)


def _markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(markdown_table(head, rows))


def card(
    recipe: EstimatorRecipe | NetworkRecipe,
    facts: dict[str, str],
    figures: dict[str, ValidationFigures],
    epochs: list[dict[str, Any]],
) -> str:
    """Return the model card in Markdown."""
    clean = figures["clean"]
    blocks = [
        f"# {recipe.train}",
        f"Trained by `d2f train` {facts['d2f']} on {facts['images']} images of {facts['collections']} collections"
        f"{_how_trained(facts, epochs)}.",
        _markdown(("fact", "value"), [(name, f"`{facts[name]}`") for name in ("options", "recipe", "data", "seed")]),
        "## Measured",
        f"On {clean.images} images{_how_measured(recipe)}. An image counts as generated where its score is above 0.",
        figures_table(figures),
        "## By generator",
        _markdown(("images of", "called right"), [(name, f"{share:.3f}") for name, share in clean.generators.items()]),
        "## Confusion",
        _markdown(
            ("", "called real", "called generated"),
            [(name, *map(str, row)) for name, row in zip(("real", "generated"), clean.confusion, strict=True)],
        ),
        "## Recipe",
        f"```json\n{json.dumps(recipe.plain(), indent=2)}\n```",
        "A score is no probability: `d2f chain fit` makes one of it, on images that were not trained on.",
    ]
    return "\n\n".join(blocks) + "\n"


def _how_trained(facts: dict[str, str], epochs: list[dict[str, Any]]) -> str:
    if not epochs:
        return ""
    waited = sum(epoch["waited"] for epoch in epochs) / max(sum(epoch["seconds"] for epoch in epochs), 1e-9)
    best = f", best in epoch {facts['epoch']} of {len(epochs)}"
    return f"{best}. The device waited for images {waited:.0%} of the time"


def _how_measured(recipe: EstimatorRecipe | NetworkRecipe) -> str:
    if isinstance(recipe, EstimatorRecipe):
        return f", each scored by a model of {recipe.folds}-fold cross-validation that saw none of its collection"
    apart = "" if isinstance(recipe.data.validation, str) else " and share no collection with those that were"
    chosen = "they chose the best epoch, so that the figures are optimistic for new images"
    return f" that were not trained on{apart}; {chosen}"


def png(figure: Any) -> bytes:
    """Return a figure of matplotlib as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def learning_curves(epochs: list[dict[str, Any]]) -> Any:
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
    # Fixed places: matplotlib's search for the best one warns where it is slow.
    for axes, what, place in ((losses, "loss, nats", "upper right"), (rights, "share", "lower right")):
        for epoch in best:
            axes.axvline(epoch, color="grey", linestyle=":", label=f"best epoch, {epoch}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(what)
        axes.legend(loc=place)
    return figure


def _confusion_plot(clean: ValidationFigures) -> Any:
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


def write_scalars(folder: Path, epoch: int, loss: float, rate: float, figures: ValidationFigures) -> str:
    """Add an epoch, counted from 1, to ``folder/tensorboard``; return what went wrong, empty if nothing.

    Each epoch is a file of its own, so that a killed run leaves none open; TensorBoard joins them. They say nothing
    that the log does not, so that a disk without space for them ends no run. Written in this thread: tensorboardX's
    own SummaryWriter is a thread that dies of a full disk unnoticed.
    """
    if find_spec("tensorboardX") is None:
        return NO_SCALARS if epoch == 1 else ""
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.record_writer import RecordWriter

    values = {"training/loss": loss, "training/rate": rate}
    values |= {f"validation/{name}": getattr(figures, name) for name in WATCHED}
    values |= {f"called right/{name}": share for name, share in figures.generators.items()}
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
    now = time.time()
    events = (
        Event(wall_time=now, file_version="brain.Event:2"),
        # The start of a session: what an earlier run logged of this step and later ones no longer counts.
        Event(wall_time=now, step=epoch, session_log=SessionLog(status=SessionLog.START)),
        Event(wall_time=now, step=epoch, summary=summary),
    )
    file = folder / "tensorboard" / f"events.out.tfevents.{int(now):010}.{platform.node()}.{epoch:05}"
    try:
        file.parent.mkdir(exist_ok=True)
        with closing(RecordWriter(str(file))) as writer:
            for event in events:
                writer.write(event.SerializeToString())
    except OSError as error:
        with suppress(OSError):
            file.unlink()
        return f"epoch {epoch} is missing from TensorBoard's scalars: {error.strerror}"
    return ""
