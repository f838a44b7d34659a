"""How often the false-positive rate on held-out images lies within the interval that `d2f chain fit` states.

    python -m tests.benchmarks.thresholds_hold [SCORES.csv] [RESAMPLINGS]

Each time 100 photographs and 100 generated images are drawn from a table of scores (label, score), a chain of one
member is fitted to them by `fit_table`, all of it, and judges the others. Without a table, 4,000 scores are drawn.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from d2f.chain.chain import load_chain
from d2f.data.dataset import Dataset, Labelled
from d2f.engine.judge import Judge
from d2f.evaluate.fit import Fit, FitRequest, fit_table
from d2f.evaluate.fit_report import threshold_intervals
from d2f.evaluate.score import ScoreTable
from d2f.metrics import Interval

CHAIN = """d2f: 1
name: resampled
detectors: [{id: noise, use: noise-statistics}]
combine: {use: logistic}
"""
EACH = 100


def drawn_scores(count: int = 4000) -> tuple[Any, Any]:
    """Return labels and scores of a detector of AUC .90 whose errors have long tails."""
    random = np.random.default_rng(27)
    labels = (np.arange(count) % 2).astype(np.int8)
    return labels, 2.0 * labels + random.standard_t(5, count)


def read_scores(path: Path) -> tuple[Any, Any]:
    """Return the labels and scores of a table."""
    with path.open() as file:
        rows = [(int(row["label"]), float(row["score"])) for row in csv.DictReader(file)]
    labels, scores = zip(*rows, strict=True)
    return np.array(labels, np.int8), np.array(scores)


def fitted(labels: Any, scores: Any, chosen: Any) -> Fit:
    """Fit the chain to some images, each a collection of its own."""
    images = Dataset(tuple(Labelled(str(one), int(labels[one])) for one in chosen))
    sha256 = tuple(f"{one:064x}" for one in chosen)
    table = ScoreTable(images, sha256, ("none",), ("noise/plain",), scores[chosen].reshape(-1, 1, 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chain.yaml")
        path.write_text(CHAIN)
        return fit_table(load_chain(path, refit=True), table, FitRequest(attacks=(), protocol="as-found"))


def held_out_rate(fit: Fit, labels: Any, scores: Any, others: Any) -> float:
    """Return the share of other photographs that a fitted chain calls generated."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fitted.yaml")
        path.write_text(fit.text)
        chain = load_chain(path)
    probability = Judge(chain.plan).probabilities(scores[others].reshape(-1, 1)).probability
    real = labels[others] == 0
    return float((probability[real] >= chain.file.verdict.generated_above).mean())


def draw(labels: Any, random: np.random.Generator) -> tuple[Any, Any]:
    """Return the numbers of the images that are fitted to, and of the others."""
    chosen = np.concatenate([random.permutation(np.flatnonzero(labels == label))[:EACH] for label in (0, 1)])
    return chosen, np.setdiff1d(np.arange(len(labels)), chosen)


def resampled(labels: Any, scores: Any, random: np.random.Generator) -> tuple[Interval, float]:
    """Return what a fit states of false positives, and their rate on the images that it was not fitted to."""
    chosen, others = draw(labels, random)
    fit = fitted(labels, scores, chosen)
    _, _, alarms, _ = threshold_intervals(fit)
    return alarms, held_out_rate(fit, labels, scores, others)


def main() -> None:
    """Print each resampling's interval and rate, and how many rates lie inside."""
    given = [each for each in sys.argv[1:] if not each.isdecimal()]
    count = next((int(each) for each in sys.argv[1:] if each.isdecimal()), 100)
    labels, scores = read_scores(Path(given[0])) if given else drawn_scores()
    random, inside = np.random.default_rng(0), 0
    for number in range(count):
        stated, rate = resampled(labels, scores, random)
        inside += stated.low <= rate <= stated.high
        print(f"{number + 1:3}  stated {stated}  held out {rate:.3f}  inside so far: {inside}", flush=True)


if __name__ == "__main__":
    main()
