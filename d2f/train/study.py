"""A trial's key: it changes with everything that the trial's result depends on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of, file_sha256
from d2f.plugins.catalog import Catalog
from d2f.train.estimator import plain, recipe_digest
from d2f.train.folder import RUN
from d2f.train.network import train_network
from d2f.train.network_recipe import Start
from d2f.train.outputs import need_place
from d2f.train.trials import Trial
from d2f.train.work import Request, Watcher, parts
from d2f.weights import read_weights, resolve


@dataclass(frozen=True)
class TrialKeys:
    """Makes the keys of a study's trials; each file is read once for all of them."""

    catalog: Catalog
    data: str | None
    _known: dict[str, str] = field(default_factory=dict, repr=False)

    def of(self, trial: Trial) -> str:
        """Return the key: of recipe, fold, the images that train, validate and test, and the weights to start from."""
        divided = parts(trial.recipe, self.data, trial.fold)
        told = [recipe_digest(trial.recipe), str(trial.fold)]
        told += [self._images(part) for part in (divided.training, divided.validation)]
        told.append("" if divided.test is None else self._images(divided.test))
        told.append("" if trial.recipe.start is None else self._weights(trial.recipe.start))
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]

    def _images(self, dataset: Dataset) -> str:
        return digest_of((self._file(image.path), image.label) for image in dataset)

    def _file(self, path: str) -> str:
        if path not in self._known:
            try:
                self._known[path] = file_sha256(path)
            except OSError:
                # Told as every broken image is, when it is decoded.
                self._known[path] = ""
        return self._known[path]

    def _weights(self, start: Start) -> str:
        name = f"weights {start.weights}"
        if name not in self._known:
            self._known[name] = read_weights(resolve(start.weights, self.catalog.weights)).sha256
        return self._known[name]


FIGURES = ("loss", "accuracy", "balanced_accuracy", "f1", "auc")
ROWS = "rows.jsonl"
ENDS = ("D2F004", "D2F620")
"""A full disk and broken images end a study; what is wrong with one trial does not."""

REPEATS = ({"fold"}, {"seed"})
"""What differs between trials that are one recipe, run several times: only such have a mean."""


@dataclass(frozen=True)
class Study:
    """Runs trials one after the other."""

    catalog: Catalog
    folder: Path
    data: str | None
    workers: int
    watcher: Watcher

    def run(self, trials: Sequence[Trial]) -> list[dict[str, Any]]:
        """Return a row for each trial; those that an earlier call finished are not run again.

        A trial that fails has a row that says why, and costs no other.
        """
        # A file beneath the folder is one that leads to no place.
        need_place(self.folder / ROWS)
        keys = self._keys(trials)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            kept = self._kept()
            rows = []
            for number, (trial, key) in enumerate(zip(trials, keys, strict=True)):
                done = isinstance(key, str) and key in kept
                self.watcher.say(f"trial {number + 1} of {len(trials)}: {trial.name}{' is done' if done else ''}")
                if isinstance(key, D2FError):
                    rows.append(self._failed({"key": "", "trial": trial.name, "values": trial.values}, key))
                else:
                    rows.append(kept.get(key) or self._row(trial, key))
            self._write(rows)
        except OSError as error:
            raise D2FError.of("D2F004", f"'{self.folder}' cannot be written: {error.strerror}") from error
        return rows

    def _keys(self, trials: Sequence[Trial]) -> list[str | D2FError]:
        """Return each trial's key, or what is wrong with its data; what is wrong with all is raised."""
        keys, made = TrialKeys(self.catalog, self.data), list[str | D2FError]()
        for trial in trials:
            try:
                made.append(keys.of(trial))
            except D2FError as error:
                made.append(error)
        if made and isinstance(made[0], D2FError) and all(isinstance(one, D2FError) for one in made):
            raise made[0]
        return made

    def _failed(self, row: dict[str, Any], error: D2FError) -> dict[str, Any]:
        self.watcher.say(str(error))
        return row | {"error": error.problems[0].message}

    def _row(self, trial: Trial, key: str) -> dict[str, Any]:
        output = (
            self.folder / f"{re.sub('[^a-z0-9.=]+', '-', trial.name.lower())[:80].strip('-')}-{key[:6]}.safetensors"
        )
        under_way = (output.with_suffix(".run") / RUN).is_file()
        request = Request(output, self.data, self.workers, under_way, trial.fold)
        row: dict[str, Any] = {"key": key, "trial": trial.name, "values": trial.values}
        try:
            made = train_network(trial.recipe, self.catalog, request, self.watcher)
        except D2FError as error:
            if any(problem.code in ENDS for problem in error.problems):
                raise
            return self._failed(row, error)
        figures = {name: {one: getattr(found, one) for one in FIGURES} for name, found in made.figures.items()}
        row |= {"weights": output.name, "sha256": made.sha256, "figures": figures}
        with (self.folder / ROWS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(row), ensure_ascii=False) + "\n")
        return row

    def _kept(self) -> dict[str, dict[str, Any]]:
        file, kept = self.folder / ROWS, {}
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # cut off by a kill: its trial is reported again
            kept[row["key"]] = row
        return kept

    def _write(self, rows: list[dict[str, Any]]) -> None:
        (self.folder / "table.md").write_text(table(rows) + "\n", encoding="utf-8")
        (self.folder / "table.jsonl").write_text(
            "".join(json.dumps(plain(row), ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
        )
        if find_spec("matplotlib") is not None and any("figures" in row for row in rows):
            plot(rows).savefig(self.folder / "study.png", dpi=120)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return a study as a table in Markdown: a row a trial, with its AUC less the first trial's.

    The mean stands last, where the trials are one recipe on several folds or with several seeds.
    """
    attacks = [name for row in rows for name in row.get("figures", {})]
    names = list(dict.fromkeys(attacks))
    head = ["trial", "loss", "accuracy", *(f"AUC {name}" for name in names), "difference"]
    done = [row for row in rows if "figures" in row]
    lines = [head, ["---"] * len(head)]
    lines += [_line(row, names, done[0]["figures"]["clean"]["auc"] if done else 0.0) for row in rows]
    if len(done) > 1 and {key for row in rows for key in row["values"]} in REPEATS:
        lines.append(_mean(done, names, f"{len(done)} of {len(rows)}"))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(rows: Sequence[dict[str, Any]]) -> Any:
    """Return a figure of the trials' AUC, clean and at the worst attack."""
    from matplotlib.figure import Figure

    done = [row for row in rows if "figures" in row]
    figure = Figure((8, 1.2 + 0.34 * len(done)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(done))
    clean = [row["figures"]["clean"]["auc"] for row in done]
    axes.plot(clean, places, "o", label="clean")
    if any(len(row["figures"]) > 1 for row in done):
        worst = [min(one["auc"] for one in row["figures"].values()) for row in done]
        axes.plot(worst, places, "s", label="worst attack")
    axes.set_yticks(places, [row["trial"] for row in done])
    axes.invert_yaxis()
    axes.set_xlabel("AUC on validation")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower left")
    return figure


def _line(row: dict[str, Any], names: list[str], first: float) -> list[str]:
    if "figures" not in row:
        return [row["trial"], f"failed: {row['error']}", *[""] * (len(names) + 2)]
    figures = row["figures"]
    aucs = [f"{figures[name]['auc']:.3f}" if name in figures else "" for name in names]
    clean = figures["clean"]
    return [row["trial"], f"{clean['loss']:.4f}", f"{clean['accuracy']:.3f}", *aucs, f"{clean['auc'] - first:+.3f}"]


def _mean(rows: list[dict[str, Any]], names: list[str], count: str) -> list[str]:
    def of(name: str, figure: str) -> str:
        values = np.array([row["figures"][name][figure] for row in rows if name in row["figures"]])
        return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""

    figures = of("clean", "loss"), of("clean", "accuracy"), *(of(name, "auc") for name in names)
    return [f"mean ± deviation, {count}", *figures, ""]
