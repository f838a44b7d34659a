"""A chain: loaded by name or path, run over images, and identified by its digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from d2f.api.errors import D2FError, Problem
from d2f.api.outcomes import StageFinished

if TYPE_CHECKING:
    from d2f.api.inputs import ImageFile
    from d2f.chain.model import ChainFile
    from d2f.chain.result import Result
    from d2f.chain.yaml import Text
    from d2f.engine.duplicates import Duplicates
    from d2f.engine.findings import Observe
    from d2f.engine.plan import Plan
    from d2f.images.memory import ImageInput, InMemory
    from d2f.images.read import Bounds, Unread
    from d2f.images.walk import Listing
    from d2f.plugins.catalog import Catalog


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
        Where its stages came from; its observers are notified of finished stages.
    warnings : tuple of Problem
        Warnings of the check of the file.
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
    def prior(self) -> float:
        """Probability of `generated` before looking; that of the file unless `with_prior` gave another."""
        return self.plan.decision.prior if self.plan.decision is not None else self.file.verdict.prior

    def with_prior(self, prior: float | None) -> Chain:
        """Return the chain at another prior, within (0, 1); its scores and likelihood ratios stay as they are.

        None: the chain as it is.
        """
        if prior is None:
            return self
        if self.plan.decision is None:
            raise D2FError.of("D2F127", f"chain {self.name!r} is not fitted, so it has no prior")
        decision = replace(self.plan.decision, prior=prior)
        return replace(self, plan=replace(self.plan, decision=decision))

    def with_trust_list(self, path: str | os.PathLike[str] | None) -> Chain:
        """Return the chain with a file of root certificates (PEM) in place of the shipped trust lists.

        It is another chain, of another digest: signers that the file does not lead to are unknown. None: the chain as
        it is.

        Raises
        ------
        D2FError
            D2F114 where the file cannot be read or holds no certificate; D2F001 where the chain has no stage
            ``provenance``.
        """
        from d2f.chain.write import fitted_text
        from d2f.chain.yaml import text_of
        from d2f.engine.findings import load_once

        if path is None:
            return self
        if all(one.use != PROVENANCE for one in self.file.evidence):
            raise D2FError.of("D2F001", f"chain {self.name!r} has no evidence reader `{PROVENANCE}`, so no trust list")
        own = {"trust_list": os.path.abspath(path)}
        readers = [
            {"use": one.use, "with": one.with_ | (own if one.use == PROVENANCE else {})} for one in self.file.evidence
        ]
        text = fitted_text(self.text, {"evidence": readers})
        chain = chain_of(text_of(self.origin, text), self.catalog, allow_missing=self.plan.allow_missing)
        for check in chain.plan.evidence:
            load_once(check.stage)
        return chain if self.plan.decision is None else chain.with_prior(self.prior)

    @property
    def images(self) -> tuple[str, ...]:
        """The images that the file names, as paths that lead there from the working folder."""
        folder = Path(self.origin).parent
        return tuple(os.path.normpath(folder / image) for image in self.file.images)

    def judge(
        self,
        image: ImageInput,
        *,
        bounds: Bounds | None = None,
        on_event: Callable[[StageFinished], object] | None = None,
    ) -> Result:
        """Score one image and judge it, in the calling thread; from one thread at a time.

        Parameters
        ----------
        image : path, bytes, file object, PIL image, or uint8 array of shape (height, width, 3)
            Bytes and a file object are a whole file: its row differs from the path's in `path` only. A PIL image is
            brought upright and to sRGB, an array is sRGB; they have pixels and no file, so that `sha256` is that of the
            pixels' bytes, and `missing` names the stages that read the file.
        bounds : d2f.Bounds, optional
            Limits on the bytes and pixels of a file.
        on_event : callable, optional
            Called after every stage that has finished, besides the plugins that observe.

        Returns
        -------
        Result
            A `Row` that a notebook shows in words. One that cannot be read has its row too, with `error`.

        Raises
        ------
        D2FError
            D2F307: `image` is none of these. Exit code 3: a stage cannot score any image here.

        Examples
        --------
        >>> import d2f, numpy as np
        >>> result = d2f.load_chain("fast").judge(np.zeros((256, 256, 3), np.uint8))
        >>> result.verdict, [note.code for note in result.notes], result.missing[0].detector
        ('inconclusive', ['colour', 'photographic'], 'provenance')
        """
        from d2f.images.memory import image_source, load

        source = image_source(image)
        return self.judge_loaded(load(source, bounds), source, self._observer(on_event))

    def judge_loaded(self, image: ImageFile | Unread, source: str | InMemory, observe: Observe | None = None) -> Result:
        """Judge an image that was loaded already from `source`; see `judge`."""
        from d2f.chain.result import Result
        from d2f.engine.judge import Judge, judged_rows
        from d2f.engine.local import LocalEngine

        engine = LocalEngine(self.plan, workers=0, observe=observe)
        engine.load()
        (row,) = judged_rows(engine, Judge(self.plan, observe), [image])
        return Result.of(row, self, source)

    def run(
        self,
        images: ImageInput | Sequence[ImageInput] | None = None,
        *,
        engine: str = "local",
        workers: int | None = None,
        time_limit: float | None = None,
        memory_limit: int | None = None,
        bounds: Bounds | None = None,
        only: Callable[[str], bool] | None = None,
        on_event: Callable[[StageFinished], object] | None = None,
        listing: Listing | None = None,
        duplicates: Duplicates | None = None,
    ) -> Iterator[Result]:
        """Score images and judge them.

        Parameters
        ----------
        images : path, bytes, file object, PIL image or array, or sequence of them
            Paths of files, folders, globs and manifests; and what `judge` takes. None: those that the chain file names.
            An empty sequence: no image.
        engine : str
            What runs the chain: ``local``, this machine; ``ray``, a Ray cluster (extra `ray`); or another that is
            installed. Rows do not depend on it.
        workers : int, optional
            Processes, each of which loads the chain; 1 works in this process. By default as many as there are cores, if
            memory allows, and 1 for few images or on macOS. Rows do not depend on it. A chain whose stages were given
            in code (`Catalog.of`) runs in this process, in as many threads.
        time_limit : float, optional
            Seconds that a stage may take for one image in a worker process; by default the stage's own ``time_limit``,
            or 120. A limit, also the next, is reason enough to work in a worker process.
        memory_limit : int, optional
            Bytes of memory that a worker process may use; by default its share of 80 % of what is free.
        bounds : d2f.Bounds, optional
            Limits on the bytes and pixels of a file.
        only : callable, optional
            Called with each path that was found, in order; where it returns False, the file is left out. Images in
            memory are called ``<bytes 0>`` and so on, by their place, unless they know their file's name.
        on_event : callable, optional
            Called after every stage that has finished, besides the plugins that observe.
        listing : d2f.images.walk.Listing, optional
            Is filled with what was passed over in folders and named twice; without one, a `UserWarning` at the end
            says so.

        duplicates : d2f.engine.duplicates.Duplicates, optional
            With one, files of equal content are scored once, and the others have copies of that row.

        Returns
        -------
        iterator of Result
            One for each image, in order, as they are ready. A file that cannot be read has its row too; one that is
            named twice has one row.

        Raises
        ------
        D2FError
            At the call: a path does not exist, or no image was found (exit code 2); a stage cannot score any image
            here, such as one whose weights are missing (exit code 3; see `load_chain` for `allow_missing`).

        Examples
        --------
        >>> import d2f
        >>> chain = d2f.load_chain("robust")  # doctest: +SKIP
        >>> for row in chain.run(["photos"]):  # doctest: +SKIP
        ...     print(row.path, row.probability, row.verdict)
        """
        from d2f.chain.result import Asked, results

        asked = Asked(self, engine, workers, time_limit, memory_limit, bounds, self._observer(on_event), duplicates)
        return results(asked, images, only, listing)

    def _observer(self, on_event: Callable[[StageFinished], object] | None) -> Observe:
        def observe(event: StageFinished) -> None:
            if on_event is not None:
                on_event(event)
            self.catalog.notify(event)

        return observe


def load_chain(
    name_or_path: str | os.PathLike[str],
    *,
    catalog: Catalog | None = None,
    refit: bool = False,
    allow_missing: bool = False,
) -> Chain:
    """Load a chain.

    Parameters
    ----------
    name_or_path : str or path
        The name of a chain that ships with d2f, or the path of a chain file. It is a path where it is a
        `Path`, holds a separator, ends in ``.yaml`` or ``.yml``, or names a file that exists.
    catalog : d2f.plugins.catalog.Catalog, optional
        Where stages are looked up; what is installed by default.
    refit : bool
        Whether the chain is about to be fitted: what an earlier fit wrote is then left out, and
        `Chain.plan` holds no decision.
    allow_missing : bool
        Whether stages that cannot score any image here (weights missing, unreadable or of a wrong digest, a package
        not installed) are left out instead of ending the run. Stages are loaded at once to find them; they enter
        the chain's digest, and every row names them in `missing`.

    Returns
    -------
    Chain
        Ready to run; no weights are loaded yet, unless `allow_missing`.

    Raises
    ------
    D2FError
        With every problem of the file, codes D2F100 to D2F130. Its exit code is 3 where a plugin that the
        chain needs is broken.

    Examples
    --------
    >>> import d2f
    >>> try:
    ...     d2f.load_chain("no-such-chain")
    ... except d2f.D2FError as error:
    ...     print(error.problems[0].code)
    D2F130
    """
    from d2f.plugins.catalog import Catalog

    text, found = chain_text(name_or_path), catalog or Catalog.discover()
    return chain_of(text, found, refit=refit, allow_missing=allow_missing)


def load_shipped(name: str, *, allow_missing: bool = False) -> Chain:
    """Load a chain that ships with d2f, even where a file of its name lies here; D2F130 of another name."""
    from d2f.chain.yaml import text_of
    from d2f.plugins.catalog import Catalog

    return chain_of(text_of(name, shipped_text(name)), Catalog.discover(), allow_missing=allow_missing)


def chain_of(text: Text, catalog: Catalog, *, refit: bool = False, allow_missing: bool = False) -> Chain:
    """Make a chain of a file's text; see `load_chain`."""
    from d2f.chain.check import check_text

    checked = check_text(text, catalog, refit=refit, allow_missing=allow_missing)
    if checked.file is None or checked.plan is None:
        raise D2FError(checked.problems, checked.exit)
    plan = _without_missing(checked.plan) if allow_missing else checked.plan
    return Chain(text.file, text.text, checked.file, plan, catalog, checked.problems)


def _without_missing(plan: Plan) -> Plan:
    """Return a plan whose stages that cannot be loaded are left out; its digest names them."""
    from d2f.engine.findings import load_stages
    from d2f.plugins.catalog import canonical

    plan = replace(plan, allow_missing=True)
    missing = load_stages(plan)
    left_out = sorted({called for called, stage in plan.stages if id(stage) in missing})
    if left_out and plan.digest:
        text = canonical({"digest": plan.digest, "missing": left_out})
        plan = replace(plan, digest=hashlib.sha256(text.encode()).hexdigest())
    return plan


def chain_text(name_or_path: str | os.PathLike[str]) -> Text:
    """Return the text of a chain, by name or path."""
    from d2f.chain.yaml import read_text, text_of

    if is_path(name_or_path):
        return read_text(os.fspath(name_or_path))
    return text_of(os.fspath(name_or_path), shipped_text(os.fspath(name_or_path)))


def is_path(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether this is a file's path rather than the name of a shipped chain.

    >>> is_path("robust"), is_path("robust.yaml"), is_path("./robust")
    (False, True, True)
    """
    if not isinstance(name_or_path, str):
        return True
    separators = {os.sep, os.altsep or os.sep}
    return (
        name_or_path.endswith((".yaml", ".yml"))
        or any(separator in name_or_path for separator in separators)
        or os.path.isfile(name_or_path)
    )


PROVENANCE = "provenance"
"""Name of the evidence reader that checks signers against a trust list."""

PACKAGE = "d2f_chains"
SUFFIX = ".yaml"


def shipped_names() -> tuple[str, ...]:
    """Return the names of the chains that ship with d2f, sorted."""
    folder = files(PACKAGE)
    return tuple(sorted(one.name.removesuffix(SUFFIX) for one in folder.iterdir() if one.name.endswith(SUFFIX)))


def shipped_text(name: str) -> str:
    """Return the text of a shipped chain; D2F130 where there is none of this name."""
    from d2f.api.errors import did_you_mean
    from d2f.chain.yaml import ORDER

    names = shipped_names()
    if name in names:
        return (files(PACKAGE) / f"{name}{SUFFIX}").read_text("utf-8")
    listed = f"shipped chains: {', '.join(names)}" if names else "no chain ships with this d2f"
    note = ORDER if os.path.isdir(name) else f"a chain of your own is named by its file: {name}{SUFFIX}"
    raise D2FError.of("D2F130", f"unknown chain '{name}'", *did_you_mean(name, names), listed, note)
