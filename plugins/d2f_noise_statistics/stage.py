"""The detector and the trainable; arithmetic is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from d2f import Floats, Input, Labels, Needs, Options, Pixels, Weights, WholeImage
from d2f.weights import read_weights, resolve, strict

RECORDS = (
    Weights(
        name="noise-statistics/default",
        sha256="960c0b64eba06fda7383ca1542bc014d89daed4f0e55e803d0bc4cd733701df8",
        licence="MIT",
        sources=("package:d2f_noise_statistics/default.safetensors",),
        description="Logistic regression on 1,434 whole pictures of 120 collections, clean and laundered.",
    ),
)


NEEDS = Needs(side=64, deviation=0.5, window=384)
"""Cost and statistics do not grow with the picture: the features are those of a central window."""


class DetectorOptions(Options):
    """Options of the detector."""

    weights: str = Field(default="default", description="Name of a set of weights, or a path.")


class NoiseStatistics:
    """Statistics of noise and texture into a linear classifier; see `d2f_noise_statistics.features`."""

    name = "noise-statistics"
    summary = "Statistics of the noise residual, block transforms, spectrum and texture into logistic regression."
    title = "sensor noise"
    looks_at = "The fine noise that is left without the content: that of cameras and of generators differs."
    Options = DetectorOptions
    thread_safe = True
    wants: Input = WholeImage()
    needs = NEEDS

    def __init__(self, options: DetectorOptions) -> None:
        self.weights = (resolve(options.weights, RECORDS),)
        self.trained_on: Any = None
        self._arrays: Mapping[str, Any] = {}

    def load(self) -> None:
        """Read the weights."""
        from d2f_noise_statistics.features import COUNT
        from d2f_noise_statistics.linear import ARRAYS
        from d2f_noise_statistics.planes import keep_freed_memory

        keep_freed_memory()
        held = read_weights(self.weights[0])
        strict(held.arrays, {name: (COUNT,) * len(shape) for name, shape in ARRAYS.items()}, self.weights[0].name)
        self._arrays, self.trained_on = held.arrays, held.trained_on

    def score(self, batch: Any) -> list[float]:
        """Return the log odds of `generated` of each view."""
        from d2f_noise_statistics.features import features
        from d2f_noise_statistics.linear import scores

        return [float(scores(self._arrays, features(pixels)[None])[0]) for pixels in batch]


class TrainableOptions(Options):
    """Options of the classifier."""

    strength: float = Field(
        default=0.003, gt=0.0, allow_inf_nan=False, description="Inverse of the ridge penalty: scikit-learn's C."
    )


class NoiseStatisticsTrainable:
    """What `d2f train` fits for the detector `noise-statistics`."""

    name = "noise-statistics"
    summary = "Logistic regression on the features of the detector noise-statistics."
    Options = TrainableOptions
    requires = ("scikit-learn>=1.4",)

    def __init__(self, options: TrainableOptions) -> None:
        self.options = options

    def features(self, pixels: Pixels) -> Floats | None:
        """Return the features of a view, shape (d,), float64, or None where the detector would abstain."""
        from d2f_noise_statistics.features import features

        return None if NEEDS.unmet(pixels) else features(pixels)

    def fit(self, features: Floats, labels: Labels, weights: Floats, seed: int) -> dict[str, Floats]:
        """Fit features (n, d), labels (n,), weights (n,); return the arrays of the weights file."""
        from d2f_noise_statistics.linear import fit

        return fit(features, labels, weights, seed, self.options.strength)

    def predict(self, arrays: Mapping[str, Any], features: Floats) -> Floats:
        """Return the scores (n,) of features (n, d)."""
        from d2f_noise_statistics.linear import scores

        return scores(arrays, features)
