"""A small sound stage of each kind, to be broken in one way at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from d2f import Abstention, Combination, Evidence, Score, Tiles, WholeImage


class NoOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScaleOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = Field(default=2.0, gt=0.0, description="What the score is multiplied by.")


class Contrast:
    """A sound detector: the standard deviation of the green channel."""

    name = "contrast"
    summary = "Standard deviation of the green channel."
    Options: type[Any] = ScaleOptions
    wants: Any = WholeImage()
    thread_safe: Any = True

    def __init__(self, options: Any) -> None:
        self.scale = getattr(options, "scale", 1.0)

    def score(self, batch: Any) -> Any:
        return [self.one(pixels) for pixels in batch]

    def one(self, pixels: Any) -> Any:
        spread = float(pixels[..., 1].std())
        if spread == 0.0:
            return Abstention("flat: nothing to measure")
        return Score(self.scale * spread)


class TileContrast(Contrast):
    """The same on tiles."""

    name = "tile-contrast"
    wants = Tiles(size=64, batch=4)


class Shift:
    """A sound preprocessor: seeded noise of one level."""

    name = "shift"
    summary = "Adds 0 or 1 to each value, at random."
    Options: type[Any] = NoOptions
    thread_safe: Any = True

    def __init__(self, options: Any) -> None:
        self.options = options

    def apply(self, pixels: Any, seed: int) -> Any:
        drawn = np.random.default_rng(seed).integers(0, 2, pixels.shape)
        return np.clip(pixels.astype(int) + drawn, 0, 255).astype(np.uint8)


class LineOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    slope: float = Field(default=1.0, description="Nats a unit of score.")
    middle: float = Field(default=0.0, description="The score at which both are alike.")


class Line:
    """A sound calibrator: two normal distributions of one width, fitted by their moments."""

    name = "line"
    summary = "A logistic curve through the means of both classes."
    Options: type[Any] = LineOptions

    def __init__(self, options: Any) -> None:
        self.options = options

    def probability(self, scores: Any) -> Any:
        nats = self.options.slope * (np.asarray(scores) - self.options.middle)
        return 1.0 / (1.0 + np.exp(-np.clip(nats, -500, 500)))

    @classmethod
    def fit(cls, scores: Any, labels: Any, weights: Any) -> Any:
        real, generated = (np.average(scores[labels == label], weights=weights[labels == label]) for label in (0, 1))
        within = scores - np.where(labels == 1, generated, real)
        variance = max(
            float(np.average(within**2, weights=weights)), 1e-12 * max(1.0, float(np.abs(scores).max())) ** 2
        )
        return LineOptions(slope=float((generated - real) / variance), middle=float((generated + real) / 2))


class Sum:
    """A sound combiner: the sum of all logits."""

    name = "sum"
    summary = "Adds the logits of all members."
    Options: type[Any] = NoOptions

    def __init__(self, options: Any, members: Any) -> None:
        self.options = options

    def combine(self, probabilities: Any) -> Any:
        logits = np.log(probabilities) - np.log1p(-probabilities)
        parts = np.where(np.isnan(probabilities), 0.0, logits)
        return Combination(parts.sum(axis=1), parts)

    @classmethod
    def fit(cls, options: Any, members: Any, probabilities: Any, labels: Any, weights: Any) -> Any:
        return options


class Wide:
    """A sound precondition: at least eight columns."""

    name = "wide"
    summary = "At least eight columns of pixels."
    Options: type[Any] = NoOptions
    thread_safe = True

    def __init__(self, options: Any) -> None:
        self.options = options

    def check(self, image: Any) -> Any:
        return Abstention(f"{image.width} columns; at least 8 are needed") if image.width < 8 else None


class Maker:
    """A sound evidence reader: whether a file has EXIF's marker where a JPEG has it."""

    name = "maker"
    summary = "Says whether a JPEG begins with EXIF."
    Options: type[Any] = NoOptions

    def __init__(self, options: Any) -> None:
        self.options = options

    def read(self, data: bytes, pixels: Any) -> Any:
        return (
            [Evidence("exif", "The file has EXIF.", "JPEG APP1", "forgeable text")]
            if data[20:30].count(b"Exif")
            else []
        )


class Means:
    """A sound trainable: the direction from one class's mean to the other's, over six features."""

    name = "means"
    summary = "Nearest mean over six moments."
    Options: type[Any] = NoOptions

    def __init__(self, options: Any) -> None:
        self.options = options

    def features(self, pixels: Any) -> Any:
        return np.concatenate([pixels.mean(axis=(0, 1)), pixels.std(axis=(0, 1))])

    def fit(self, features: Any, labels: Any, weights: Any, seed: int) -> Any:
        real, generated = features[labels == 0].mean(axis=0), features[labels == 1].mean(axis=0)
        return {"direction": generated - real, "middle": (generated + real) / 2}

    def predict(self, arrays: Any, features: Any) -> Any:
        return ((features - arrays["middle"]) * arrays["direction"]).sum(axis=1)


SOUND = (Contrast, TileContrast, Shift, Wide, Maker, Line, Sum, Means)
