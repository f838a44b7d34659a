"""A chain, loaded and ready to run over images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from d2f.api.errors import Problem
from d2f.api.events import StageFinished
from d2f.api.rows import Row

if TYPE_CHECKING:
    from d2f.chain.model import ChainFile
    from d2f.engine.plan import Plan
    from d2f.plugins.catalog import Catalog
    from d2f.reading.bounds import Bounds


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of detectors over views; made by `d2f.load_chain`.

    Parameters
    ----------
    origin : str
        The path or name that it was loaded by.
    text : str
        What the chain file holds.
    file : ChainFile
        The file as a model.
    plan : Plan
        Its stages, built.
    catalog : Catalog
        Where its stages came from; its observers are told of finished stages.
    warnings : tuple of Problem
        What the check of the file had to say that stops nothing.
    """

    origin: str
    text: str = field(repr=False)
    file: ChainFile = field(repr=False)
    plan: Plan = field(repr=False)
    catalog: Catalog = field(repr=False)
    warnings: tuple[Problem, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The chain's name, written in every row."""
        return self.file.name

    @property
    def digest(self) -> str:
        """sha256, 64 hexadecimal digits, of everything that results depend on; empty where loaded to be refitted."""
        return self.plan.digest

    @property
    def images(self) -> tuple[str, ...]:
        """The images that the file names, as paths that lead there from the working folder."""
        folder = Path(self.origin).parent
        return tuple(os.path.normpath(folder / image) for image in self.file.images)
