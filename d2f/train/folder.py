"""What a run leaves on disk: outputs seen to be free before the work, the run folder, its log, its checkpoints."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from d2f.api.errors import D2FError, Exit
from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of
from d2f.files import cannot_write, write_whole
from d2f.report.tables import plain
from d2f.train.recipe import EstimatorRecipe, NetworkRecipe, Recipe, recipe_digest
from d2f.version import __version__
from d2f.weights import read_weights, write_weights

if TYPE_CHECKING:
    import mlx.nn as nn
    import mlx.optimizers as optim

PACKAGES = ("d2f", "mlx", "mlx-cpu", "mlx-cuda-12", "mlx-data", "numpy", "pillow", "scikit-learn", "scipy")
RUN, RECIPE, LOG = "run.json", "recipe.json", "log.jsonl"
LAST, BEST = "last.safetensors", "best.safetensors"
FACTS = {"d2f", "trainable", "recipe", "data"}
"""What the weights of every run say of themselves."""

OF = (
    ("data", "is of other images"),
    ("validation", "is of other images: those that validate have changed"),
    ("test", "is of other images: those of data.test have changed"),
    ("start", "started from other weights"),
)
"""What a run is of, by its name in `RUN`, and what is said where it is no longer so."""


def run_facts(recipe: EstimatorRecipe | NetworkRecipe, dataset: Dataset, digests: Iterable[str]) -> dict[str, str]:
    """Return what a weights file says of itself; `digests` are those of the training images, in order."""
    return {
        "d2f": __version__,
        "trainable": recipe.train,
        "options": json.dumps(recipe.with_, sort_keys=True),
        "recipe": recipe_digest(recipe),
        "data": digest_of(zip(digests, dataset.labels.tolist(), strict=True)),
        "part": recipe.data.part,
        "images": str(len(dataset)),
        "collections": str(len(dataset.collections)),
        "seed": str(recipe.seed),
    }


def require_free(paths: Iterable[Path], overwrite: bool = False) -> None:
    """Refuse files that exist and that no training made, unless they may be replaced; and what can be no file."""
    for path in paths:
        require_place(path)
        if os.path.isdir(path):
            raise D2FError.of("D2F004", f"'{path}' is a folder", "choose another place with -o")
        if not overwrite and os.path.lexists(path) and not made_by_training(path):
            message = f"'{path}' already exists, and `d2f train` did not make it"
            raise D2FError.of("D2F004", message, "to replace it: --overwrite; or choose another place with -o")


def made_by_training(path: Path) -> bool:
    """Say whether a file is one that a run leaves: weights, or their copy as .npz."""
    try:
        if path.suffix == ".npz":
            beside = path.with_suffix(".safetensors")
            return made_by_training(beside) and read_weights(path).arrays.keys() == read_weights(beside).arrays.keys()
        return read_weights(path).metadata.keys() >= FACTS
    except (D2FError, OSError, ValueError):
        return False


def require_place(path: Path) -> None:
    """Refuse a path that leads through a file."""
    above = next((one for one in path.parents if os.path.lexists(one)), None)
    if above is not None and not os.path.isdir(above):
        message = f"'{path}' cannot be written: '{above}' is a file, not a folder"
        raise D2FError.of("D2F004", message, "choose another -o")


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error, "name another folder") from error


class RunFolder:
    """FILE.run: the recipe, the environment, the log, checkpoints and the report of a run."""

    def __init__(self, path: Path, rank: int = 0) -> None:
        self.path, self.rank = path, rank

    def claim(self, recipe: Recipe, resume: bool, outputs: Iterable[Path], overwrite: bool = False) -> None:
        """Make the folder, or see that it holds the run that is resumed; a new run's outputs have to be free.

        An estimator's run, which is fitted in one fit, may be made anew in its own folder.
        """
        require_place(self.path / RUN)
        held = None if self.rank else self._held()
        if held is not None and isinstance(recipe, EstimatorRecipe) and held.get("fitter") == "estimator":
            held = None
        if held is not None and not resume:
            notes = ("to go on with it: --resume", "else choose another -o, or remove the folder")
            raise D2FError.of("D2F623", f"a run is in '{self.path}' already", *notes)
        if held is not None and held["recipe"] != recipe_digest(recipe):
            before, now = json.loads((self.path / RECIPE).read_text(encoding="utf-8")), recipe.plain()
            names = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
            notes = (f"changed: {', '.join(names)}", "start it anew with another -o")
            raise D2FError.of("D2F623", f"the run in '{self.path}' is of another recipe", *notes)
        if held is None and not self.rank:
            require_free(outputs, overwrite)
        make_folder(self.path)

    def describe(self, recipe: Recipe, facts: dict[str, str], resume: bool) -> None:
        """Write what the run is of; a run that is resumed has to be of the same images."""
        if self.rank:
            return
        held = self._held() if resume else None
        for name, what in OF:
            # A run that an older version began does not say all of it.
            if held is not None and held.get(name, facts.get(name)) != facts.get(name):
                raise D2FError.of("D2F623", f"the run in '{self.path}' {what}", "start it anew with another -o")
        if held is None:
            self._write(RECIPE, recipe.plain())
            self._write("environment.json", run_environment())
            fitter = "estimator" if isinstance(recipe, EstimatorRecipe) else "network"
            # Last: a folder without it holds no run.
            self._write(RUN, {**facts, "fitter": fitter})

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
        write_output(self.path / name, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_output(path: Path, data: bytes | str) -> None:
    """Write a file whole or not at all; D2F004 with exit code 2 where it cannot be written."""
    try:
        write_whole(path, data)
    except D2FError as error:
        raise D2FError(error.problems, Exit.USAGE) from error


def run_environment() -> dict[str, str]:
    """Return the versions and the machine that a run depends on."""
    found = {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class Log:
    """Appends events to a file of JSON lines; a resumed run goes on where its checkpoint stood.

    `keep` is how many bytes of the file stay; without `written`, they are only counted.
    """

    def __init__(self, path: Path, keep: int = 0, written: bool = True) -> None:
        self.path, self.bytes, self._written = path, keep, written
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
            raise cannot_write(self.path, error, "make room") from error


def read_log(path: Path, event: str) -> list[dict[str, Any]]:
    """Return the lines of an event."""
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == event]


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
    import mlx.core as mx
    from mlx.utils import tree_flatten

    from d2f.models import arrays_of

    held = {NETWORK + name: value for name, value in arrays_of(network).items()}
    held |= {OPTIMISER + name: np.array(value) for name, value in tree_flatten(optimiser.state)}
    held[RANDOM] = np.array(mx.random.state[0])
    write_weights(path, held, {"position": json.dumps(asdict(position))})


def restore(path: Path, network: nn.Module, optimiser: optim.Optimizer) -> Position:
    """Put a checkpoint's state into a network and an optimiser that were not used yet."""
    import mlx.core as mx
    from mlx.utils import tree_unflatten

    from d2f.models import load_arrays

    held = read_weights(path)
    load_arrays(network, _part(held.arrays, NETWORK), path.name)
    state = {name: mx.array(value) for name, value in _part(held.arrays, OPTIMISER).items()}
    optimiser.state = tree_unflatten(list(state.items()))
    high, low = held.arrays[RANDOM].tolist()
    # The state is a key, and a seed's key is the seed's own two halves: no MLX version lacks this way.
    mx.random.seed(high << 32 | low)
    return Position(**json.loads(held.metadata["position"]))


def _part(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
