"""A detector of noise, and a labelled set that it can tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from d2f_calibrators.isotonic import Isotonic
from d2f_calibrators.platt import Platt
from d2f_combiners.logistic import Logistic, LogisticOptions
from d2f_combiners.logit_mean import LogitMean
from d2f_everyday.stages import Shift
from d2f_gaussian_blur import GaussianBlur
from d2f_jpeg import Jpeg
from d2f_noise import Noise
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from d2f import Abstention, NoOptions, WholeImage
from d2f.chain.chain import Chain, load_chain
from d2f.data.dataset import Dataset, Labelled
from d2f.engine.plan import BoundDetector, Plan
from d2f.evaluate.parts import FitRecipe, FitRows, as_rows
from d2f.evaluate.score import ScoreTable
from d2f.plugins.catalog import Catalog

CHAIN = """\
d2f: 1
name: toy
views:
  blurred: [{use: gaussian-blur, with: {sigma: 0.6}}]
detectors:
  - {id: noise, use: noise-level, views: [plain, blurred]}
  - {id: shy, use: noise-level, with: {silent_above: 14.0}}
combine: {use: logistic}   # fitted below
"""


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    silent_above: float = Field(default=1e9, description="Abstains on noisier views.")


class NoiseLevel:
    """Standard deviation of neighbours' differences; photographs of the set are noisier."""

    name = "noise-level"
    summary = "A toy."
    Options = Options
    wants = WholeImage()
    thread_safe = True

    def __init__(self, options):
        self.options = options

    def score(self, batch):
        levels = [float(np.diff(pixels[..., 1].astype(float), axis=1).std()) for pixels in batch]
        silent = self.options.silent_above
        return [Abstention("too noisy") if level > silent else level for level in levels]


class Bright:
    """Refuses pictures that are dark, which some of the set are, of either label."""

    name = "bright"
    summary = "A toy."
    Options = NoOptions

    def __init__(self, options):
        pass

    def check(self, image):
        return Abstention("too dark") if image.pixels.mean() < 125 else None


def catalog(*more: type) -> Catalog:
    return Catalog.of(NoiseLevel, Platt, Isotonic, Logistic, LogitMean, GaussianBlur, Jpeg, Noise, Shift, *more)


def toy_chain(folder: Path, text: str = CHAIN, refit: bool = True, *more: type) -> Chain:
    path = folder / "toy.yaml"
    path.write_text(text, "utf-8")
    return load_chain(path, catalog=catalog(*more), refit=refit)


def write_set(folder: Path, count: int = 40, collections: int = 8, seed: int = 0) -> None:
    """Write `count` photographs (noise of deviation 3..9) and as many generated images (1..6), 48 pixels a side."""
    random = np.random.default_rng(seed)
    for number in range(2 * count):
        label = number % 2
        deviation = random.uniform(1, 6) if label else random.uniform(3, 9)
        ramp = np.linspace(60, 190, 48)[None, :, None] + random.uniform(-20, 20, 3)
        pixels = np.clip(ramp + random.normal(0, deviation, (48, 48, 1)), 0, 255).astype(np.uint8)
        source = f"hands{(number // 2) % collections}"
        where = folder / ("generated/toy" if label else "real") / source
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(where / f"{number}.png")


def simulated(count: int, members: int, seed: int = 0, collections: int = 20, separation: float = 1.0) -> ScoreTable:
    """Normal scores of two copies an image; the last member points the other way."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    listed = tuple(Labelled(f"{i}.png", int(labels[i]), collection=f"c{i // 2 % collections}") for i in range(count))
    shift = separation * (2 * labels - 1)[:, None, None] * np.where(np.arange(members) == members - 1, -1, 1)
    scores = random.normal(0, 1.5, (count, 2, members)) + shift
    digests = tuple(f"{i:064x}" for i in range(count))
    return ScoreTable(Dataset(listed), digests, ("none", "toy"), tuple(f"d{i}/plain" for i in range(members)), scores)


def recipe(members: tuple[str, ...], calibrator: type = Platt) -> FitRecipe:
    return FitRecipe(members, dict.fromkeys(members, calibrator), Logistic, LogisticOptions(), Platt)


def plan(members: tuple[str, ...]) -> Plan:
    return Plan(
        "toy", "", {"plain": ()}, tuple(BoundDetector(member.split("/")[0], None, ("plain",)) for member in members)
    )


def rows_of(table: ScoreTable) -> FitRows:
    return as_rows(table)
