"""A chain, loaded and ready to run over images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from d2f.api.errors import Problem
from d2f.api.events import StageFinished
from d2f.api.rows import Row

if TYPE_CHECKING:
    from d2f.chain.model import ChainFile
    from d2f.engine.judge import Judge
    from d2f.engine.local import LocalEngine
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

    def run(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        *,
        workers: int | None = None,
        bounds: Bounds | None = None,
        only: Callable[[str], bool] | None = None,
        on_event: Callable[[StageFinished], object] | None = None,
    ) -> Iterator[Row]:
        """Score images and judge them.

        Parameters
        ----------
        paths : str or path, or sequence of them
            Files, folders, globs and manifests; those that the chain file names by default.
        workers : int, optional
            Threads; by default the cores that the process may use. Rows do not depend on it.
        bounds : d2f.Bounds, optional
            Limits on the bytes and pixels of a file.
        only : callable, optional
            Asked of each path that was found, when its turn comes; where it says no, the file is left out.
        on_event : callable, optional
            Told of every stage that has finished, besides the plugins that observe.

        Returns
        -------
        iterator of Row
            One for each file, in order, as they are ready. A file that cannot be read has its row too.

        Raises
        ------
        D2FError
            At the call: a path is not there, or no image was found (exit code 2); a stage could not be
            loaded (exit code 3).

        Examples
        --------
        >>> import d2f
        >>> chain = d2f.load_chain("robust")  # doctest: +SKIP
        >>> for row in chain.run(["photos"]):  # doctest: +SKIP
        ...     print(row.path, row.probability, row.verdict)
        """
        from d2f.engine.judge import Judge
        from d2f.engine.local import LocalEngine
        from d2f.reading.files import find_images

        named = (paths,) if isinstance(paths, str | os.PathLike) else paths
        found = find_images([os.fspath(path) for path in named] or self.images)
        observe = self._observer(on_event)
        engine = LocalEngine(self.plan, workers, observe)
        engine.load()
        judge = Judge(self.plan, observe)
        return self._rows(engine, judge, filter(only, found) if only is not None else found, bounds, observe)

    def _rows(
        self,
        engine: LocalEngine,
        judge: Judge,
        files: Iterable[str],
        bounds: Bounds | None,
        observe: Callable[[StageFinished], None],
    ) -> Iterator[Row]:
        from d2f.engine.ahead import load_ahead

        images = load_ahead(files, bounds, engine.workers, observe)
        yield from map(judge.row, engine.score(images))

    def _observer(self, on_event: Callable[[StageFinished], object] | None) -> Callable[[StageFinished], None]:
        def observe(event: StageFinished) -> None:
            if on_event is not None:
                on_event(event)
            self.catalog.notify(event)

        return observe
