"""The data and the tables of docs/research/founding-experiments.md.

    python docs/make_founding.py data $D2F_DATA/train founding

writes the manifests `training.csv`, `unbalanced.csv` and `validation.csv` that the recipes `founding-*.yaml` train and
validate on. After `d2f train sweep`, as the head of each recipe says it,

    python docs/make_founding.py tables founding

prints a table for each folder of runs.

    python docs/make_founding.py sources pictures founder

writes `training.csv`, `validation.csv` and `same.csv` for the recipe `founder.yaml`: other images of the same sources,
each of one label, of what `d2f data fetch` left in `pictures`; and `turned.csv`, what these sources have of the other.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from d2f.api.errors import D2FError
from d2f.data.dataset import GENERATED, REAL, Dataset, limited, load_dataset, write_manifest
from d2f.data.groups import components, folds, shipped_split
from d2f.train.folder import LOG, read_log

PHOTOGRAPHS, MADE, VALIDATION = 800, 100, 500
EACH = 20
"""The least images of a label of a collection that the founder's experiment takes."""
SAME_SOURCES = {"validation": (0,), "same": (1, 2), "training": range(3, 10)}
"""Which of ten folds of every collection is in which manifest."""
STUDIES = ("overfitting", "balance", "residual", "logits")
HEAD = (
    "run",
    "loss on training tiles, first epoch",
    "last epoch",
    "loss on validation, best epoch (which)",
    "last epoch",
    "balanced accuracy, last epoch",
    "AUC, last epoch",
    "right of real / of generated, last epoch",
    "seconds",
)


def write_data(data: str, folder: Path) -> None:
    """Write what trains, a part of it with eight photographs to one generated image, and what validates.

    Of five folds of whole components the one with the most collections validates: the largest collections fill others.
    """
    whole = shipped_split(load_dataset(data)).weights
    fold = folds(components(whole), whole.labels, 5, seed=1)
    held = fold == max(range(5), key=lambda one: len(whole.select(fold == one).collections))
    rest = whole.select(~held)
    photographs = limited(rest.select(rest.labels == REAL), PHOTOGRAPHS, seed=1)
    made = limited(rest.select(rest.labels == GENERATED), MADE, seed=1)
    write_manifest(folder / "training.csv", rest)
    write_manifest(folder / "unbalanced.csv", Dataset((*photographs, *made), data))
    write_manifest(folder / "validation.csv", limited(whole.select(held), VALIDATION, seed=1))


def write_sources(data: str, folder: Path) -> None:
    """Write what trains, what validates and what is measured: every source in each, no picture in two.

    Of a collection with both labels one is taken, that of which fewer images were taken before, the largest collection
    first: as most sets are put together, a source has one label. `turned.csv` is the other label of the same
    collections. A picture is all that a group links: a photograph and its re-creations.
    """
    whole = load_dataset(data)
    names = np.array([image.collection for image in whole])
    counts = {name: whole.select(names == name).label_counts for name in whole.collections}
    large = [name for name in counts if max(counts[name]) >= EACH]
    if not large:
        raise D2FError.of("D2F603", f"no collection of '{data}' has {EACH} images of a label")
    taken, sums = np.zeros(len(whole), bool), np.zeros(2, int)
    for name in sorted(large, key=lambda name: (min(counts[name]) >= EACH, -min(counts[name]), name)):
        both = min(counts[name]) >= EACH
        label = int(np.argmin(sums)) if both else int(np.argmax(counts[name]))
        sums[label] += counts[name][label]
        taken |= (names == name) & (whole.labels == label)
    one = whole.select(taken)
    fold = folds(components(replace(image, collection="") for image in one), one.labels, 10, seed=1)
    for part, numbers in SAME_SOURCES.items():
        write_manifest(folder / f"{part}.csv", one.select(np.isin(fold, list(numbers))))
    write_manifest(folder / "turned.csv", whole.select(np.isin(names, large) & ~taken))


def table(study: Path) -> str:
    """Return a study's finished runs as a table in Markdown, in the order of the sweep."""
    rows = [json.loads(line) for line in (study / "table.jsonl").read_text("utf-8").splitlines()]
    lines = [HEAD, ("---",) * len(HEAD), *(_line(study, row) for row in rows if "figures" in row)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(study: Path, row: dict[str, Any]) -> tuple[str, ...]:
    run = (study / row["weights"]).with_suffix(".run")
    epochs = read_log(run / LOG, "epoch")
    first, last = epochs[0], epochs[-1]
    best = epochs[int(np.argmin([epoch["validation"]["loss"] for epoch in epochs]))]
    right = [counts[label] / sum(counts) for label, counts in enumerate(last["validation"]["confusion"])]
    return (
        row["trial"],
        f"{first['loss']:.3f}",
        f"{last['loss']:.3f}",
        f"{best['validation']['loss']:.3f} ({best['epoch']})",
        f"{last['validation']['loss']:.3f}",
        f"{last['validation']['balanced_accuracy']:.3f}",
        f"{last['validation']['auc']:.3f}",
        f"{right[0]:.2f} / {right[1]:.2f}",
        f"{sum(epoch['seconds'] + epoch['validation_seconds'] for epoch in epochs):.0f}",
    )


def tables(folder: Path) -> Iterator[str]:
    """Yield a heading and a table for each study that has run."""
    for name in STUDIES:
        if (folder / name / "table.jsonl").is_file():
            yield f"{name}\n\n{table(folder / name)}\n"


def main() -> int:
    """Write the data, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="write the manifests")
    data.add_argument("data", help="folder or manifest of labelled images")
    data.add_argument("folder", type=Path)
    sources = commands.add_parser("sources", help="write the manifests of founder.yaml")
    sources.add_argument("data", help="folder or manifest of labelled images as they were found")
    sources.add_argument("folder", type=Path)
    commands.add_parser("tables", help="print the tables").add_argument("folder", type=Path)
    given = parser.parse_args()
    try:
        if given.command == "data":
            write_data(given.data, given.folder)
        elif given.command == "sources":
            write_sources(given.data, given.folder)
        else:
            sys.stdout.writelines(f"{text}\n" for text in tables(given.folder))
    except D2FError as error:
        print(error, file=sys.stderr)
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main())
