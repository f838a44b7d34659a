"""The copies of one training image: brought alike by the matched protocol, then laundered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2f.api.arrays import Pixels
from d2f.api.inputs import ImageFile
from d2f.data.matched import fitting, judging
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.training.recipe import Recipe, StepUse


@dataclass(frozen=True)
class CopyMaker:
    """Makes the copies that a recipe asks for, the same ones for the same file whatever else is asked.

    Parameters
    ----------
    recipe : Recipe
    augmentations : list of list of Preprocessor
        Built from ``recipe.augment``.
    attacks : list of Preprocessor
        Built from ``recipe.measure``.
    """

    recipe: Recipe
    augmentations: list[list[Any]]
    attacks: list[Any]

    @classmethod
    def of(cls, recipe: Recipe, catalog: Catalog) -> CopyMaker:
        """Build the stages that a recipe names."""
        augmentations = [_built(catalog, entry.steps) for entry in recipe.augment]
        return cls(recipe, augmentations, _built(catalog, recipe.measure))

    def training(self, image: ImageFile) -> list[Pixels]:
        """Return the copies that the model is fitted to: those at random first, then the judging ones."""
        copies = self.recipe.copies
        seeds = [self.recipe.seed * 1000 + number for number in range(copies.fitting)]
        windows, qualities = (copies.windows[0], copies.windows[1]), (copies.qualities[0], copies.qualities[1])
        made = [fitting(image, seed, windows, qualities, copies.scale).pixels for seed in seeds]
        made += [judging(image).pixels for _ in range(copies.judging)]
        return [self._augmented(pixels, image, number) for number, pixels in enumerate(made)]

    def measuring(self, image: ImageFile) -> list[Pixels]:
        """Return the clean judging copy and the same under each attack."""
        clean = judging(image).pixels
        return [clean, *(attack.apply(clean, image.seed) for attack in self.attacks)]

    def _augmented(self, pixels: Pixels, image: ImageFile, number: int) -> Pixels:
        if not self.augmentations:
            return pixels
        random = np.random.default_rng((self.recipe.seed, image.seed, number))
        shares = np.array([entry.share for entry in self.recipe.augment])
        chosen = int(random.choice(len(shares), p=shares / shares.sum()))
        for stage in self.augmentations[chosen]:
            pixels = stage.apply(pixels, int(random.integers(2**63)))
        return pixels


def measured_names(recipe: Recipe) -> list[str]:
    """Return what `CopyMaker.measuring`'s copies are called in figures: ``clean``, ``wiener window=7``, …"""
    return ["clean", *(_spelled(step) for step in recipe.measure)]


def _spelled(step: StepUse) -> str:
    return " ".join([step.use, *(f"{key}={value}" for key, value in step.with_.items())])


def _built(catalog: Catalog, steps: Sequence[StepUse]) -> list[Any]:
    return [build(catalog, "preprocessor", step.use, step.with_) for step in steps]
