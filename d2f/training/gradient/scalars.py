"""Scalars for TensorBoard."""

from __future__ import annotations

import platform
import time
from pathlib import Path

from d2f.training.gradient.event_file import event_file
from d2f.training.gradient.measuring import Measured

SHOWN = ("loss", "accuracy", "balanced_accuracy", "f1", "auc")


def write_scalars(folder: Path, epoch: int, loss: float, rate: float, figures: Measured) -> str:
    """Add an epoch, counted from 1, to ``folder/tensorboard``.

    Each epoch is a file of its own, so that a killed run leaves none open; TensorBoard joins them. They say nothing
    that the log does not, so that a disk without room for them ends no run.

    Returns
    -------
    str
        What went wrong, empty if nothing.
    """
    values = {"training/loss": loss, "training/rate": rate}
    values |= {f"validation/{name}": getattr(figures, name) for name in SHOWN}
    values |= {f"called right/{name}": share for name, share in figures.generators.items()}
    now = time.time()
    file = folder / "tensorboard" / f"events.out.tfevents.{int(now):010}.{platform.node()}.{epoch:05}"
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(event_file(values, epoch, now))
    except OSError as error:
        _remove(file)
        return f"epoch {epoch} is missing from TensorBoard's scalars: {error.strerror}"
    return ""


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        return
