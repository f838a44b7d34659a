"""A run's end: the best epoch measured, under attacks too; the weights and what a person looks at, written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from d2f.models import arrays_of, load_arrays
from d2f.training.gradient.attacks import measure_all
from d2f.training.gradient.log import read_log
from d2f.training.gradient.loop import BEST, Loop
from d2f.training.gradient.measuring import Measured
from d2f.training.gradient.parts import Parts
from d2f.training.gradient.report import write_report
from d2f.training.gradient.request import TrainedNetwork, Work
from d2f.weights import read_weights, short_digests, write_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray


def end(work: Work, loop: Loop, divided: Parts, facts: dict[str, str]) -> TrainedNetwork:
    """Measure the best epoch once more, and under attacks; write what a run leaves.

    Raises
    ------
    D2FError
        D2F004: a file cannot be written.
    """
    folder, output = work.folder, work.request.output
    loop.processes.wait()
    load_arrays(loop.network, dict(read_weights(folder.path / BEST).arrays), BEST)
    figures = measure_all(work.recipe, work.catalog, loop, divided, folder, work.request.workers)
    sha256 = _write(work, loop, facts, figures) if loop.processes.rank == 0 else ""
    return TrainedNetwork(output, sha256, figures, folder.path)


def _write(work: Work, loop: Loop, facts: dict[str, str], figures: dict[str, Measured]) -> str:
    folder, output = work.folder, work.request.output
    best = loop.position.best_epoch + 1
    told = {name: one.row() for name, one in figures.items()}
    metadata = {**facts, "epoch": str(best), "measured": json.dumps(told, sort_keys=True)}
    arrays = arrays_of(loop.network)
    sha256 = write_weights(output, arrays, metadata, _trained_on(loop))
    folder.write_npz(output.with_suffix(".npz"), arrays)
    if not read_log(loop.log.path, "end"):
        loop.log.write("end", best_epoch=best, measured=told, weights=output.name, sha256=sha256)
    for line in write_report(folder.path, work.recipe, metadata, figures, loop.validation.dataset):
        loop.watcher.say(line)
    return sha256


def _trained_on(loop: Loop) -> NDArray[np.uint64]:
    """Return what the weights were trained on, by this run and by those that it started from."""
    digests = short_digests(loop.training.digests)
    return digests if loop.trained_before is None else np.union1d(digests, loop.trained_before)
