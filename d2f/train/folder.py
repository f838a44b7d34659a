"""A run's log in JSON lines; a resumed run goes on where its checkpoint stood."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from d2f.api.errors import D2FError
from d2f.models import arrays_of, load_arrays
from d2f.train.estimator import plain, recipe_digest
from d2f.train.network_recipe import NetworkRecipe
from d2f.train.outputs import need_free, need_place
from d2f.weights import read_weights, write_weights

PACKAGES = ("d2f", "mlx", "mlx-cpu", "mlx-cuda-12", "mlx-data", "numpy", "pillow", "scipy")
RUN, RECIPE, LOG = "run.json", "recipe.json", "log.jsonl"
OF = (
    ("data", "is of other images"),
    ("validation", "is of other images: those that validate have changed"),
    ("test", "is of other images: those of data.test have changed"),
    ("start", "started from other weights"),
)
"""What a run is of, by its name in `RUN`, and what is said where it is no longer so."""


class RunFolder:
    """Where a run keeps what it makes."""

    def __init__(self, path: Path, rank: int = 0) -> None:
        self.path, self._rank = path, rank

    def claim(self, recipe: NetworkRecipe, resume: bool, outputs: Sequence[Path] = (), overwrite: bool = False) -> None:
        """Make the folder, or see that it holds the run that is to go on; a new run's outputs have to be free."""
        need_place(self.path / RUN)
        held = None if self._rank else self._held()
        if held is not None and not resume:
            notes = ("to go on with it: --resume", "else choose another -o, or remove the folder")
            raise D2FError.of("D2F623", f"a run stands in '{self.path}'", *notes)
        if held is not None and held["recipe"] != recipe_digest(recipe):
            raise D2FError.of("D2F623", f"the run in '{self.path}' is of another recipe", *_changed(self.path, recipe))
        if held is None and not self._rank:
            need_free(outputs, overwrite)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise D2FError.of("D2F004", f"'{self.path}' cannot be made: {error.strerror}") from error

    def describe(self, recipe: NetworkRecipe, facts: dict[str, str], resume: bool) -> None:
        """Write what the run is of; a run that goes on has to be of the same images."""
        if self._rank:
            return
        held = self._held()
        for name, what in OF:
            # A run that an older version began does not say all of it.
            if held is not None and resume and held.get(name, facts.get(name)) != facts.get(name):
                raise D2FError.of("D2F623", f"the run in '{self.path}' {what}", "start it anew with another -o")
        if held is None:
            self._write(RECIPE, recipe.model_dump(mode="json", by_alias=True))
            self._write("environment.json", environment())
            # Last: a folder without it holds no run.
            self._write(RUN, facts)

    def tile_file(self, name: str) -> Path:
        """Return where tiles are kept that memory has no room for; each process has its own."""
        return self.path / f"{name}-{self._rank}.tiles"

    def write_npz(self, path: Path, arrays: dict[str, Any]) -> None:
        """Write a network's arrays as .npz, whole or not at all."""
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                np.savez(file, **arrays)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise D2FError.of("D2F004", f"'{path}' cannot be written: {error.strerror}") from error

    def _held(self) -> dict[str, str] | None:
        file = self.path / RUN
        try:
            held: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise D2FError.of("D2F623", f"'{file}' cannot be read: {error}", "remove the folder") from error
        return held

    def _write(self, name: str, value: Any) -> None:
        part = self.path / f"{name}.part"
        try:
            part.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            part.replace(self.path / name)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise D2FError.of("D2F004", f"'{self.path / name}' cannot be written: {error.strerror}") from error


def environment() -> dict[str, str]:
    """Return the versions and the machine that a run depends on."""
    found = {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _changed(path: Path, recipe: NetworkRecipe) -> tuple[str, ...]:
    """Name the keys that a recipe has changed since the run began."""
    held = json.loads((path / RECIPE).read_text(encoding="utf-8"))
    now = recipe.model_dump(mode="json", by_alias=True)
    names = sorted(key for key in held.keys() | now.keys() if held.get(key) != now.get(key))
    return (f"changed: {', '.join(names)}", "start it anew with another -o")


NETWORK, OPTIMISER, RANDOM = "network.", "optimiser.", "random"


@dataclass
class Position:
    """Where a run stands; all that its future depends on beside arrays."""

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
    """Write a checkpoint; the file is replaced at once, never in part."""
    held = {NETWORK + name: value for name, value in arrays_of(network).items()}
    held |= {OPTIMISER + name: np.array(value) for name, value in tree_flatten(optimiser.state)}
    held[RANDOM] = np.array(mx.random.state[0])
    write_weights(path, held, {"position": json.dumps(asdict(position))})


def restore(path: Path, network: nn.Module, optimiser: optim.Optimizer) -> Position:
    """Put a checkpoint's state into a network and an optimiser that were not used yet."""
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


class Log:
    """Appends events to a file."""

    def __init__(self, path: Path, keep: int = 0, written: bool = True) -> None:
        self.path, self._written = path, written
        self.bytes = keep
        if written:
            self._change(lambda file: file.truncate(keep))

    def write(self, event: str, **values: Any) -> None:
        """Add a line; numbers that are not finite become null."""
        line = (json.dumps({"event": event, **plain(values)}, ensure_ascii=False) + "\n").encode()
        self.bytes += len(line)
        if self._written:
            self._change(lambda file: file.write(line))

    def _change(self, change: Callable[[BinaryIO], object]) -> None:
        # The file is closed within the `try`: what is buffered may find the disk full only then.
        try:
            with self.path.open("ab") as file:
                change(file)
        except OSError as error:
            raise D2FError.of("D2F004", f"'{self.path}' cannot be written: {error.strerror}") from error


def read_log(path: Path, event: str) -> list[dict[str, Any]]:
    """Return the lines of an event."""
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == event]
