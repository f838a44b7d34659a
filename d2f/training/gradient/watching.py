"""Who is told of a run while it goes on."""

from __future__ import annotations

from typing import Protocol

from d2f.training.gradient.measuring import Measured


class Watcher(Protocol):
    """Is told what a run does."""

    def say(self, line: str) -> None:
        """Hear a sentence."""

    def images(self, done: int, total: int) -> None:
        """Hear how many images were decoded."""

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Hear of an update: the epoch from 0, its updates so far and in all, the mean loss, the rate."""

    def epoch(self, epoch: int, loss: float, figures: Measured, best: bool) -> None:
        """Hear of an epoch's end."""


class Silent:
    """Hears and shows nothing."""

    def say(self, line: str) -> None:
        """Show nothing."""

    def images(self, done: int, total: int) -> None:
        """Show nothing."""

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Show nothing."""

    def epoch(self, epoch: int, loss: float, figures: Measured, best: bool) -> None:
        """Show nothing."""
