"""What is asked of a run, what it works with, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2f.plugins.catalog import Catalog
from d2f.training.gradient.folder import RunFolder
from d2f.training.gradient.measuring import Measured
from d2f.training.gradient.processes import Processes
from d2f.training.gradient.recipe import NetworkRecipe
from d2f.training.gradient.watching import Watcher


@dataclass(frozen=True)
class Request:
    """What is asked of a run beside its recipe.

    Parameters
    ----------
    output : Path
        The weights file; the run folder stands beside it.
    data : str, optional
        A folder or manifest; the recipe's own otherwise.
    workers : int
        Threads that make tiles; the result does not depend on it.
    resume : bool
        Go on with a run that was ended.
    fold : (int, int), optional
        Of a k-fold run: which fold validates, and how many there are.
    overwrite : bool
        Replace weights that stand at `output`, but no run.
    """

    output: Path
    data: str | None = None
    workers: int = 1
    resume: bool = False
    fold: tuple[int, int] | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Work:
    """What a run works with from its beginning to its end.

    Parameters
    ----------
    recipe : NetworkRecipe
    trainable : GradientTrainable
        That the recipe names, with its options.
    catalog : Catalog
    request : Request
    folder : RunFolder
    processes : Processes
    watcher : Watcher
    """

    recipe: NetworkRecipe
    trainable: Any
    catalog: Catalog
    request: Request
    folder: RunFolder
    processes: Processes
    watcher: Watcher


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """What came of a run.

    Parameters
    ----------
    weights : Path
        The weights file.
    sha256 : str
        Its digest; empty in processes that do not write.
    figures : dict of str to Measured
        Of the best epoch: ``clean``, each attack, and ``test`` where the recipe names one.
    folder : Path
        What the run left.
    """

    weights: Path
    sha256: str
    figures: dict[str, Measured]
    folder: Path
