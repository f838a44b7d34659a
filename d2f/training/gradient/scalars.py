"""Scalars for TensorBoard, by tensorboardX where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from d2f.training.gradient.measuring import Measured

SHOWN = ("loss", "accuracy", "balanced_accuracy", "f1", "auc")


def write_scalars(folder: Path, epoch: int, loss: float, rate: float, figures: Measured) -> None:
    """Add an epoch, counted from 1, to ``folder/tensorboard``; do nothing without tensorboardX.

    Each epoch is a file of its own, so that a killed run leaves none open; TensorBoard joins them.
    """
    if find_spec("tensorboardX") is None:
        return
    from tensorboardX import SummaryWriter

    # An epoch that a resumed run tells again goes before what was told then.
    with SummaryWriter(str(folder / "tensorboard"), purge_step=epoch, filename_suffix=f".{epoch:05}") as writer:
        writer.add_scalar("training/loss", loss, epoch)
        writer.add_scalar("training/rate", rate, epoch)
        for name in SHOWN:
            writer.add_scalar(f"validation/{name}", getattr(figures, name), epoch)
        for name, share in figures.generators.items():
            writer.add_scalar(f"called right/{name}", share, epoch)
