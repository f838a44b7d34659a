"""Several runs of a network's recipe, one table: k-fold, a sweep (grid or random), an ablation."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from d2f.api.errors import D2FError, Place, Problem
from d2f.cache import key_of
from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of
from d2f.engine.spec import parse_spec, parts, read_value, write_value
from d2f.files import file_sha256
from d2f.plugins.build import OptionFinding, build, option_findings, read_options, spelled
from d2f.plugins.catalog import Catalog
from d2f.report.tables import markdown_table, plain
from d2f.train.augment import OPERATIONS, augmentation_errors, loaded_steps
from d2f.train.folder import RUN, make_folder, require_place, write_output
from d2f.train.images import divide
from d2f.train.recipe import NetworkRecipe, recipe_digest, with_values
from d2f.train.report import WATCHED, png
from d2f.train.run import TrainRequest, TrainWatcher, train_model
from d2f.weights import read_weights, resolve

ROWS = "rows.jsonl"
ENDS = ("D2F004", "D2F620")
"""A full disk and broken images end a study; what is wrong with one trial does not."""

REPEATS = ({"fold"}, {"seed"})
"""What differs between trials that are one recipe, run several times: only such have a mean."""

RANGE = re.compile(r"([^/\\\"'\[\]{}]+?)\.\.([^/\\\"'\[\]{}]+)")
"""A range; a path with ``..`` in it, or a text in quotes, is none."""


@dataclass(frozen=True)
class Trial:
    """One run of a study."""

    name: str
    recipe: NetworkRecipe
    values: dict[str, Any] = field(default_factory=dict)
    fold: tuple[int, int] | None = None


def fold_trials(recipe: NetworkRecipe, folds: int) -> list[Trial]:
    """Return a trial for each fold."""
    return [Trial(f"fold {one + 1} of {folds}", recipe, {"fold": one + 1}, (one, folds)) for one in range(folds)]


def grid_trials(recipe: NetworkRecipe, catalog: Catalog, sets: Sequence[str]) -> list[Trial]:
    """Return a trial for each combination of the values that ``KEY=V1,V2`` list."""
    keys = dict(read_values(text) for text in sets)
    for key, values in keys.items():
        if any(isinstance(value, ValueRange) for value in values):
            raise D2FError.of("D2F001", f"'{key}' has a range, from which only a random search draws", "add --random N")
    combinations = itertools.product(*keys.values())
    return [_changed_trial(recipe, catalog, dict(zip(keys, values, strict=True))) for values in combinations]


def random_trials(
    recipe: NetworkRecipe, catalog: Catalog, sets: Sequence[str], count: int, seed: int = 0
) -> list[Trial]:
    """Return `count` trials from lists (``KEY=V1,V2``) and ranges (``KEY=LOW..HIGH``), each seeded by its number."""
    keys = dict(read_values(text) for text in sets)
    trials: dict[str, Trial] = {}
    for number in range(count):
        random = np.random.default_rng((seed, number))
        trial = _changed_trial(recipe, catalog, {key: _drawn(values, random) for key, values in keys.items()})
        trials.setdefault(trial.name, trial)
    return list(trials.values())


def ablation_trials(recipe: NetworkRecipe, catalog: Catalog) -> list[Trial]:
    """Return the recipe as it is, and without one thing at a time.

    Left out are each augmentation, all of them, the balancing, and what the trainable names in ``ablations()``, or
    else its option `residual`.
    """
    trials = [Trial("as it is", recipe)]
    for name, options in _simpler(recipe, catalog).items():
        trials.append(Trial(name, recipe.changed({"with": options}), {"with": options}))
    steps = recipe.plain()["augment"]
    for i, augmentation in enumerate(recipe.augment):
        named = " or ".join(dict.fromkeys(choice.use for choice in augmentation.choices))
        rest = steps[:i] + steps[i + 1 :]
        trials.append(Trial(f"without {named} ({i + 1})", recipe.changed({"augment": rest}), {"augment": i}))
    if len(steps) > 1:
        trials.append(Trial("without augmentation", recipe.changed({"augment": []}), {"augment": "none"}))
    if recipe.balance.by != "none" or recipe.balance.sources < 1.0:
        changes = {"balance.by": "none", "balance.sources": 1.0}
        trials.append(Trial("without balancing", recipe.changed(changes), changes))
    return trials


def _simpler(recipe: NetworkRecipe, catalog: Catalog) -> Mapping[str, dict[str, Any]]:
    """Return a trainable's own simpler variants: name to options."""
    trainable = build(catalog, "trainable", recipe.train, recipe.with_)
    named = getattr(trainable, "ablations", None)
    if callable(named):
        simpler: Mapping[str, dict[str, Any]] = named()
        return simpler
    options = read_options("trainable", type(trainable), recipe.with_)
    if getattr(options, "residual", False) is True:
        return {"without residual connections": {**recipe.with_, "residual": False}}
    return {}


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Numbers from `low` to `high`, which are whole where both bounds are."""

    low: int | float
    high: int | float

    def draw(self, random: np.random.Generator) -> int | float:
        """Return a number: whole ones evenly, others evenly in their logarithm where both bounds are above 0."""
        low, high = self.low, self.high
        if isinstance(low, int) and isinstance(high, int):
            return int(random.integers(low, high, endpoint=True))
        if low > 0 and high > 0:
            return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.4g}")
        return float(f"{random.uniform(low, high):.4g}")


def read_values(text: str) -> tuple[str, list[Any]]:
    """Return the key and its values, a `ValueRange` for each ``LOW..HIGH``; commas in brackets part nothing.

    >>> read_values("copies.qualities=[70,98],[80,90]")
    ('copies.qualities', [[70, 98], [80, 90]])
    >>> read_values("optimiser.rate=0.1,1e-4..1e-2")
    ('optimiser.rate', [0.1, ValueRange(low=0.0001, high=0.01)])
    """
    key, equals, values = text.partition("=")
    if not key or not equals or not values:
        raise D2FError.of(
            "D2F001", f"'{text}' is not understood", "write KEY=VALUE,VALUE, such as optimiser.rate=0.1,0.01"
        )
    try:
        return key, [_one_value(values[first:last].strip()) for first, last in parts(values, ",")]
    except ValueError as error:
        raise D2FError.of("D2F001", f"'{text}' is not understood: {error}") from error


def _one_value(text: str) -> Any:
    found = RANGE.fullmatch(text)
    if found is None:
        return read_value(text)
    low, high = map(read_value, found.groups())
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not abs(bound) < 2**63:
            raise ValueError(f"the range '{text}' is not of two numbers")
    if low > high:
        raise ValueError(f"the range '{text}' begins above its end")
    return ValueRange(low, high)


def _drawn(values: list[Any], random: np.random.Generator) -> Any:
    drawn = values[int(random.integers(len(values)))]
    return drawn.draw(random) if isinstance(drawn, ValueRange) else drawn


def _changed_trial(recipe: NetworkRecipe, catalog: Catalog, changes: dict[str, Any]) -> Trial:
    """Return the trial of a changed recipe; what is wrong with it is raised before any trial begins."""
    plain_recipe = recipe.plain()
    for key, value in changes.items():
        try:
            with_values(plain_recipe, {key: value})
        except (KeyError, IndexError, TypeError, ValueError):
            raise D2FError.of("D2F606", f"the recipe has no key '{key}'") from None
    wrong = list(option_findings(NetworkRecipe, plain_recipe))
    if wrong:
        raise D2FError(list(_recipe_problems(wrong)))
    made = NetworkRecipe.model_validate(plain_recipe)
    read_options("trainable", catalog.find("trainable", made.train), made.with_)
    if unbuilt := [*_unbuilt(made, catalog, changes)]:
        raise D2FError(unbuilt)
    return Trial(", ".join(f"{key}={write_value(value)}" for key, value in changes.items()), made, changes)


def _unbuilt(recipe: NetworkRecipe, catalog: Catalog, changes: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the stages that a changed recipe names, where the change may have done it."""
    changed = {key.partition(".")[0] for key in changes}
    for path, error in augmentation_errors(recipe.augment, catalog) if "augment" in changed else ():
        for problem in error.problems:
            yield replace(problem, place=Place("--set", path=spelled(path)))
    for i, attack in enumerate(recipe.measure if "measure" in changed else ()):
        try:
            loaded_steps(attack, catalog, f"measure[{i}]")
        except D2FError as error:
            yield from error.problems


def _recipe_problems(wrong: Sequence[OptionFinding]) -> Iterator[Problem]:
    for finding in wrong:
        messages = {
            "unknown": f"unknown key '{finding.name}'",
            "missing": f"the key '{finding.name}' is missing",
            "value": f"{finding.name} {finding.message}",
        }
        yield Problem("D2F606", messages[finding.sort], notes=finding.notes)


def _stages_of_recipe(recipe: NetworkRecipe, catalog: Catalog) -> Iterator[object]:
    """Yield the trainable and every preprocessor of a recipe."""
    yield catalog.find("trainable", recipe.train)
    for spec in recipe.measure:
        yield from (step.stage for step in parse_spec(spec, catalog))
    names = {choice.use for augmentation in recipe.augment for choice in augmentation.choices} - OPERATIONS.keys()
    yield from (catalog.find("preprocessor", name) for name in sorted(names))


@dataclass(frozen=True)
class Study:
    """Runs trials one after the other."""

    catalog: Catalog
    folder: Path
    data: str | None
    workers: int
    watcher: TrainWatcher
    _known: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    """Digests of images by path, and of starting weights by name: each file is read once for all trials."""

    def run(self, trials: Sequence[Trial]) -> list[dict[str, Any]]:
        """Return a row for each trial; those that an earlier call finished are not run again.

        A trial that fails has a row that says why, and costs no other.
        """
        # A file beneath the folder is one that leads to no place.
        require_place(self.folder / ROWS)
        keys = self._keys(trials)
        make_folder(self.folder)
        finished = self._finished()
        rows = []
        for number, (trial, key) in enumerate(zip(trials, keys, strict=True)):
            done = isinstance(key, str) and key in finished
            self.watcher.say(f"trial {number + 1} of {len(trials)}: {trial.name}{' is done' if done else ''}")
            if isinstance(key, D2FError):
                rows.append(self._failed({"key": "", "trial": trial.name, "values": trial.values}, key))
            else:
                rows.append(finished.get(key) or self._row(trial, key))
        self._write(rows)
        return rows

    def _keys(self, trials: Sequence[Trial]) -> list[str | D2FError]:
        """Return each trial's key, or what is wrong with its data; what is wrong with all is raised."""
        made = list[str | D2FError]()
        for trial in trials:
            try:
                made.append(self._key(trial))
            except D2FError as error:
                made.append(error)
        if made and isinstance(made[0], D2FError) and all(isinstance(one, D2FError) for one in made):
            raise made[0]
        return made

    def _key(self, trial: Trial) -> str:
        """Return the key: of recipe, fold, images, starting weights, the code of every stage, d2f's version."""
        recipe, divided = trial.recipe, divide(trial.recipe, self.data, trial.fold)
        images = [self._images(part) for part in (divided.training, divided.validation, divided.test) if part]
        start = "" if recipe.start is None else self._weights(recipe.start.weights)
        facts = [recipe_digest(recipe), trial.fold, images, start]
        key = key_of("trial", *facts, code=_stages_of_recipe(recipe, self.catalog))
        # A stage made in an interpreter has no code to name it by: such trials are known by their recipe alone.
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16] if key is None else key.hex()[:16]

    def _images(self, dataset: Dataset) -> str:
        return digest_of((self._file(image.path), image.label) for image in dataset)

    def _file(self, path: str) -> str:
        if path not in self._known:
            try:
                self._known[path] = file_sha256(path)
            except OSError:
                # Reported as every broken image is, when it is decoded.
                self._known[path] = ""
        return self._known[path]

    def _weights(self, weights: str) -> str:
        name = f"weights {weights}"
        if name not in self._known:
            self._known[name] = read_weights(resolve(weights, self.catalog.weights)).sha256
        return self._known[name]

    def _failed(self, row: dict[str, Any], error: D2FError) -> dict[str, Any]:
        self.watcher.say(str(error))
        return row | {"error": error.problems[0].message}

    def _row(self, trial: Trial, key: str) -> dict[str, Any]:
        name = re.sub("[^a-z0-9.=]+", "-", trial.name.lower())[:80].strip("-")
        output = self.folder / f"{name}-{key[:6]}.safetensors"
        under_way = (output.with_suffix(".run") / RUN).is_file()
        request = TrainRequest(output, self.data, self.workers, under_way, fold=trial.fold)
        row: dict[str, Any] = {"key": key, "trial": trial.name, "values": trial.values}
        try:
            made = train_model(trial.recipe, self.catalog, request, self.watcher)
        except D2FError as error:
            if any(problem.code in ENDS for problem in error.problems):
                raise
            return self._failed(row, error)
        figures = {name: {one: getattr(found, one) for one in WATCHED} for name, found in made.figures.items()}
        row |= {"weights": output.name, "sha256": made.sha256, "figures": figures}
        before = self._rows_file.read_text(encoding="utf-8") if self._rows_file.is_file() else ""
        write_output(self._rows_file, before + json.dumps(plain(row), ensure_ascii=False) + "\n")
        return row

    @property
    def _rows_file(self) -> Path:
        return self.folder / ROWS

    def _finished(self) -> dict[str, dict[str, Any]]:
        if not self._rows_file.is_file():
            return {}
        rows = map(json.loads, self._rows_file.read_text(encoding="utf-8").splitlines())
        return {row["key"]: row for row in rows}

    def _write(self, rows: list[dict[str, Any]]) -> None:
        write_output(self.folder / "table.md", study_table(rows) + "\n")
        lines = "".join(json.dumps(plain(row), ensure_ascii=False) + "\n" for row in rows)
        write_output(self.folder / "table.jsonl", lines)
        if find_spec("matplotlib") is not None and any("figures" in row for row in rows):
            write_output(self.folder / "study.png", png(_plot(rows)))


def study_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return a study as a table in Markdown: a row a trial, with its AUC less the first trial's.

    The mean is last, where the trials are one recipe on several folds or with several seeds.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.get("figures", {})))
    head = ("trial", "loss", "accuracy", *(f"AUC {name}" for name in names), "difference")
    done = [row for row in rows if "figures" in row]
    lines = [_line(row, names, done[0]["figures"]["clean"]["auc"] if done else 0.0) for row in rows]
    if len(done) > 1 and {key for row in rows for key in row["values"]} in REPEATS:
        lines.append(_mean(done, names, f"{len(done)} of {len(rows)}"))
    return "\n".join(markdown_table(head, lines))


def _line(row: dict[str, Any], names: list[str], first: float) -> tuple[str, ...]:
    if "figures" not in row:
        return (row["trial"], f"failed: {row['error']}", *[""] * (len(names) + 2))
    figures = row["figures"]
    aucs = [f"{figures[name]['auc']:.3f}" if name in figures else "" for name in names]
    clean = figures["clean"]
    return (row["trial"], f"{clean['loss']:.4f}", f"{clean['accuracy']:.3f}", *aucs, f"{clean['auc'] - first:+.3f}")


def _mean(rows: list[dict[str, Any]], names: list[str], count: str) -> tuple[str, ...]:
    def of(name: str, figure: str) -> str:
        values = np.array([row["figures"][name][figure] for row in rows if name in row["figures"]])
        return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""

    figures = of("clean", "loss"), of("clean", "accuracy"), *(of(name, "auc") for name in names)
    return (f"mean ± deviation, {count}", *figures, "")


def _plot(rows: Sequence[dict[str, Any]]) -> Any:
    """Return a figure of the trials' AUC, clean and at the worst attack."""
    from matplotlib.figure import Figure

    done = [row for row in rows if "figures" in row]
    figure = Figure((8, 1.2 + 0.34 * len(done)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(done))
    axes.plot([row["figures"]["clean"]["auc"] for row in done], places, "o", label="clean")
    if any(len(row["figures"]) > 1 for row in done):
        worst = [min(one["auc"] for one in row["figures"].values()) for row in done]
        axes.plot(worst, places, "s", label="worst attack")
    axes.set_yticks(places, [row["trial"] for row in done])
    axes.invert_yaxis()
    axes.set_xlabel("AUC on validation")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower left")
    return figure
