"""How many tiles make an update, and in how many batches they go through the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpdateSize:
    """Of one process of several.

    Parameters
    ----------
    tiles : int
        That make an update, over all processes.
    batch : int
        That go through the network at once.
    batches : int
        Of one process, for one update.
    """

    tiles: int
    batch: int
    batches: int

    @classmethod
    def of(cls, tiles: int, batch: int, accumulate: int, most: int, processes: int = 1) -> UpdateSize:
        """Divide an update over batches and processes.

        Parameters
        ----------
        tiles : int
            An epoch's.
        batch, accumulate : int
            A recipe's.
        most : int
            The most that memory allows at once.
        processes : int
        """
        whole = min(batch * accumulate, tiles if tiles < batch else tiles // batch * batch)
        each = max(1, whole // processes)
        at_once = next(number for number in range(min(batch, most, each), 0, -1) if each % number == 0)
        return cls(each * processes, at_once, each // at_once)

    def updates(self, tiles: int) -> int:
        """Return how many updates an epoch of so many tiles makes; what is left over waits for another epoch."""
        return tiles // self.tiles
