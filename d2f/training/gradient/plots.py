"""Plots of a run, by matplotlib where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from d2f.training.gradient.measuring import Measured

ABSENT = "no plots: matplotlib is not installed (pip install 'd2f[train]')"


def write_plots(folder: Path, epochs: list[dict[str, Any]], clean: Measured) -> str:
    """Write ``curves.png`` and ``confusion.png``; return what there is to say, empty if nothing.

    Parameters
    ----------
    folder : Path
    epochs : list of dict
        A log's epochs.
    clean : Measured
        Of the best epoch.
    """
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
