"""A small set of images, an estimator and a recipe that trains in a second."""

from __future__ import annotations

import csv
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from d2f.plugins.catalog import Catalog
from d2f.train.recipe import EstimatorRecipe
from d2f.train.run import SilentWatcher, TrainedModel, TrainRequest, train_model

COLLECTIONS = 6
EACH = 4
COLUMNS = ("path", "label", "generator", "source", "collection", "group", "form")


def make_images(folder: Path) -> Path:
    """Write photographs (smooth) and generated images (rough) of six two-class collections; return the folder."""
    rows = []
    for collection in range(COLLECTIONS):
        for number in range(EACH):
            label = number % 2
            random = np.random.default_rng((collection, number))
            noise = random.normal(0, 2 + 14 * label, (80 + 8 * collection, 96, 3))
            pixels = np.clip(np.linspace(60, 180, 96)[None, :, None] + noise, 0, 255).astype(np.uint8)
            name = f"{collection}-{number}.png"
            Image.fromarray(pixels).save(folder / name)
            kind = ("real", "generated")[label]
            form = "" if collection < 2 else "whole"
            rows.append((name, kind, "toy" if label else "", f"s{collection}", f"c{collection}", "", form))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder


class RoughnessOptions(BaseModel):
    """What the toy is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = Field(default=1.0, gt=0.0, description="Scores are multiplied by this.")


class Roughness:
    """Neighbouring pixels' mean difference against the middle of the two classes."""

    name = "roughness"
    summary = "Mean absolute difference of neighbours."
    Options = RoughnessOptions

    def __init__(self, options: RoughnessOptions) -> None:
        self.scale = options.scale

    def features(self, pixels: np.ndarray) -> np.ndarray | None:
        """Return two features; none of a picture less than 60 pixels high."""
        if pixels.shape[0] < 60:
            return None
        return np.array([np.abs(np.diff(pixels.astype(float), axis=axis)).mean() for axis in (0, 1)])

    def fit(self, features: np.ndarray, labels: np.ndarray, weights: np.ndarray, seed: int) -> dict[str, Any]:
        """Return the weighted middle of the two classes' means."""
        means = [np.average(features[labels == label], axis=0, weights=weights[labels == label]) for label in (0, 1)]
        return {"middle": (means[0] + means[1]) / 2, "rows": np.array(len(features)), "seed": np.array(seed)}

    def predict(self, arrays: Any, features: np.ndarray) -> np.ndarray:
        """Return how far the features lie above the middle."""
        return self.scale * (features - arrays["middle"]).mean(axis=1)


class Shift:
    """Adds a level to all pixels, to see which copies were made."""

    name = "shift"
    summary = "Adds a level."

    class Options(BaseModel):
        """How much."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        by: int = Field(default=1, ge=0, le=9, description="Grey levels.")

    def __init__(self, options: Any) -> None:
        self.by = options.by

    def apply(self, pixels: np.ndarray, seed: int) -> np.ndarray:
        """Return brighter pixels."""
        return np.clip(pixels.astype(int) + self.by, 0, 255).astype(np.uint8)


class Halving:
    """Takes every other row, so that a toy without features comes about."""

    name = "halving"
    summary = "Every other row."

    class Options(BaseModel):
        """Nothing."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, options: Any) -> None:
        pass

    def apply(self, pixels: np.ndarray, seed: int) -> np.ndarray:
        """Return half of the picture."""
        return pixels[::2]


CATALOG = Catalog.of(Roughness, Shift, Halving)


class Heard(SilentWatcher):
    """Keeps the sentences and the counts."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: list[tuple[int, int]] = []

    def say(self, line: str) -> None:
        """Keep a sentence."""
        self.lines.append(line)

    def images(self, what: str, done: int, total: int) -> None:
        """Keep a count."""
        self.counts.append((done, total))


def fitted(
    recipe: EstimatorRecipe, output: Path, images: Path | str | None, watcher: Any = None, **more: Any
) -> TrainedModel:
    """Train an estimator of `CATALOG`, or of the catalog that is given."""
    request = TrainRequest(output, None if images is None else str(images), **more)
    return train_model(recipe, CATALOG, request, watcher or SilentWatcher())


RECIPE = """
    d2f: 1
    train: roughness
    data: {part: all}
    copies: {protocol: crop, fitting: 2, judging: 1, windows: [64, 96]}
    augment:
      - {share: 1}
      - {share: 1, steps: "shift:3"}
    measure: ["shift:5", halving]
    folds: 3
    seed: 7
    """


def write_recipe(folder: Path, text: str = RECIPE) -> Path:
    """Write a recipe file and return its path."""
    path = folder / "recipe.yaml"
    path.write_text(dedent(text).lstrip(), "utf-8")
    return path
