"""A run's state in one file: network, optimiser, random numbers, and where in which epoch it stands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from d2f.models import arrays_of, load_arrays
from d2f.weights import read_weights, write_weights

NETWORK, OPTIMISER, RANDOM = "network.", "optimiser.", "random"


@dataclass
class Position:
    """Where a run stands; all that its future depends on beside arrays.

    Parameters
    ----------
    epoch : int
        From 0.
    place : int
        Tiles of the epoch that updates were made of.
    update : int
        Updates so far, over all epochs.
    loss : float
        Sum of the epoch's updates' losses.
    best, best_epoch : float, int
        The least watched figure, and its epoch; -1 before the first.
    rates : dict
        The schedule's state.
    log : int
        Bytes of the log.
    finished : bool
        The last epoch is behind.
    """

    epoch: int = 0
    place: int = 0
    update: int = 0
    loss: float = 0.0
    best: float | None = None
    best_epoch: int = -1
    rates: dict[str, Any] = field(default_factory=dict)
    log: int = 0
    finished: bool = False


def save(path: Path, network: nn.Module, optimiser: optim.Optimizer, position: Position) -> None:
    """Write a checkpoint; the file is replaced at once, never in part.

    Raises
    ------
    D2FError
        D2F004: it cannot be written.
    """
    held = {NETWORK + name: value for name, value in arrays_of(network).items()}
    held |= {OPTIMISER + name: np.array(value) for name, value in tree_flatten(optimiser.state)}
    held[RANDOM] = np.array(mx.random.state[0])
    write_weights(path, held, {"position": json.dumps(asdict(position))})


def restore(path: Path, network: nn.Module, optimiser: optim.Optimizer) -> Position:
    """Put a checkpoint's state into a network and an optimiser that were not used yet.

    Raises
    ------
    D2FError
        D2F502, D2F504 or D2F505: the file is not there, of another network, or damaged.
    """
    held = read_weights(path)
    load_arrays(network, _part(held.arrays, NETWORK), path.name)
    state = {name: mx.array(value) for name, value in _part(held.arrays, OPTIMISER).items()}
    optimiser.state = tree_unflatten(list(state.items()))
    high, low = held.arrays[RANDOM].tolist()
    # The state is a key, and a seed's key is the seed's own two halves: no MLX version lacks this way.
    mx.random.seed(high << 32 | low)
    return Position(**json.loads(held.metadata["position"]))


def _part(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
