"""The learning rate of each update."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from d2f.training.gradient.recipe_optimiser import Schedule


@dataclass
class Rates:
    """A schedule over a run.

    Parameters
    ----------
    schedule : Schedule
    top : float
        The optimiser's rate.
    updates : int
        Updates an epoch.
    epochs : int
    """

    schedule: Schedule
    top: float
    updates: int
    epochs: int

    def __post_init__(self) -> None:
        self._best, self._waited, self._reductions = math.inf, 0, 0

    def rate(self, update: int) -> float:
        """Return the rate of an update, counted from 0 over the whole run."""
        schedule = self.schedule
        warm = min(1.0, (update + 1) / (schedule.warm_up + 1))
        return warm * max(schedule.floor, self.top * self._share(update))

    def _share(self, update: int) -> float:
        schedule = self.schedule
        if schedule.use == "step":
            return float(schedule.factor ** (update // self.updates // schedule.every))
        if schedule.use == "cosine":
            length = max(1, self.updates * self.epochs - schedule.warm_up)
            done = min(max(0, update - schedule.warm_up) / length, 1.0)
            return 0.5 * (1 + math.cos(math.pi * done))
        return float(schedule.factor**self._reductions)

    def tell(self, loss: float) -> None:
        """Hear an epoch's validation loss: `plateau` reduces after `patience` epochs without a lower one."""
        if self.schedule.use != "plateau":
            return
        if loss < self._best:
            self._best, self._waited = loss, 0
            return
        self._waited += 1
        if self._waited >= self.schedule.patience:
            self._reductions, self._waited = self._reductions + 1, 0

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as plain data."""
        return {
            "best": None if math.isinf(self._best) else self._best,
            "waited": self._waited,
            "reductions": self._reductions,
        }

    @state.setter
    def state(self, kept: dict[str, Any]) -> None:
        self._best = math.inf if kept["best"] is None else kept["best"]
        self._waited, self._reductions = kept["waited"], kept["reductions"]
