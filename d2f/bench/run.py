"""The scores of a bench: every chain, every attack, every image, once; continued after a kill."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from d2f.api.errors import D2FError
from d2f.bench.joint import Joint, join
from d2f.bench.speed import Speed
from d2f.bench.store import Store
from d2f.data.dataset import Dataset
from d2f.engine.local import LocalEngine
from d2f.engine.scored import Scored
from d2f.output.append import Mode
from d2f.plugins.identity import canonical
from d2f.scoring.attack import Attack
from d2f.scoring.copies import CLEAN
from d2f.scoring.protocol import Protocol, bring_for_judging
from d2f.scoring.score_set import collect, score_groups
from d2f.scoring.table import ScoreTable
from d2f.version import __version__

if TYPE_CHECKING:
    from d2f.chain.chain import Chain


@dataclass(frozen=True)
class Run:
    """Scores of several chains on one set.

    Parameters
    ----------
    joint : ScoreTable
        A column for each distinct cell of all chains.
    tables : tuple of ScoreTable
        Each chain's own cells.
    speed : Speed
    kept : int
        Images that an earlier, killed run had done.
    store : Store or None
        The parts, for `finish` to delete.
    """

    joint: ScoreTable
    tables: tuple[ScoreTable, ...]
    speed: Speed
    kept: int = 0
    store: Store | None = None

    def finish(self) -> None:
        """Delete the parts, once everything in them stands elsewhere."""
        if self.store is not None:
            self.store.remove()


def run_chains(
    chains: Sequence[Chain],
    images: Dataset,
    attacks: Sequence[Attack],
    protocol: Protocol = "matched",
    *,
    parts: Path | None = None,
    mode: Mode = "new",
    workers: int | None = None,
    tick: Callable[[], None] | None = None,
) -> Run:
    """Score a set with every chain, clean and under each attack.

    Parameters
    ----------
    chains : sequence of Chain
        Fitted.
    images : Dataset
    attacks : sequence of Attack
    protocol : {'matched', 'as-is'}
    parts : Path, optional
        Folder for what is done so far; without it, a killed run starts anew.
    mode : {'new', 'overwrite', 'resume'}
        Of that folder.
    workers : int, optional
    tick : callable, optional
        Called after each image.

    Raises
    ------
    D2FError
        D2F127 for a chain that is not fitted, D2F004 and D2F005 of the folder, and whatever scoring raises.
    """
    for chain in chains:
        if not chain.file.calibrate:
            raise D2FError.of("D2F127", f"chain '{chain.name}' is not fitted", "fit it first: d2f chain fit")
    joint = join(chains)
    LocalEngine(joint.plan).load()
    names = (CLEAN, *(attack.name for attack in attacks))
    speed = Speed()

    def scored(which: Dataset) -> Iterator[list[Scored]]:
        bring = bring_for_judging(protocol)
        return score_groups(joint.plan, which, bring, attacks, workers=workers, tick=tick, observe=speed.observe)

    if parts is None:
        with speed.running():
            table = collect(images, names, joint.plan.cell_names, enumerate(scored(images)))
        return Run(table, _tables(joint, table, chains), speed)
    store = Store(parts, _identity(joint, images, attacks, protocol), names, joint.plan.cells, mode)
    try:
        left = [number for number in range(len(images)) if number not in store.done]
        for _ in store.done:
            if tick is not None:
                tick()
        with speed.running():
            for number, group in zip(left, scored(images.select(left)), strict=True):
                store.add(number, group)
        store.flush()
        table = collect(images, names, joint.plan.cell_names, store.groups())
    finally:
        # What was scored before an interrupt is kept as well.
        store.flush()
        store.close()
    return Run(table, _tables(joint, table, chains), speed, len(store.done), store)


def _tables(joint: Joint, table: ScoreTable, chains: Sequence[Chain]) -> tuple[ScoreTable, ...]:
    return tuple(
        replace(table, cells=chain.plan.cell_names, scores=table.scores[:, :, list(columns)])
        for chain, columns in zip(chains, joint.columns, strict=True)
    )


def _identity(joint: Joint, images: Dataset, attacks: Sequence[Attack], protocol: Protocol) -> str:
    """A digest of everything that the scores depend on, but for the images' bytes."""
    facts = {
        "d2f": __version__,
        "protocol": protocol,
        "cells": list(joint.keys),
        "names": list(joint.plan.cell_names),
        "attacks": [[attack.name, *(step.key for step in attack.steps)] for attack in attacks],
        "images": [[image.path, image.label] for image in images],
    }
    return hashlib.sha256(canonical(facts).encode()).hexdigest()
