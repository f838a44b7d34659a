"""The detector and the trainable; arithmetic is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from d2f import Abstention, FileBytes, Outcome, Score, Tiles, Weights, WholeImage
from d2f.weights import as_record, read_weights, resolve, strict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECORDS = (
    Weights(
        name="noise-statistics/default",
        sha256="f0e3af857c65164321e651e4daed780ec453e91206048eacc677cc6faab6b69e",
        licence="MIT",
        sources=("package:d2f_noise_statistics/default.safetensors",),
        description="Logistic regression on 1,906 images of 101 collections, as found and laundered.",
    ),
)


class NoiseStatisticsOptions(BaseModel):
    """What the detector is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str = Field(default="default", description="Name of a set of weights, or a path.")


class NoiseStatistics:
    """Statistics of noise and texture into a linear classifier; see `d2f_noise_statistics.features`."""

    name = "noise-statistics"
    summary = "Statistics of the noise residual, block transforms, spectrum and texture into logistic regression."
    Options = NoiseStatisticsOptions
    thread_safe = True
    wants: WholeImage | Tiles | FileBytes = WholeImage()

    def __init__(self, options: NoiseStatisticsOptions) -> None:
        self.weights = (as_record(resolve(options.weights, RECORDS)),)
        self.trained_on: NDArray[np.uint64] | None = None
        self._arrays: Mapping[str, NDArray[Any]] = {}

    def load(self) -> None:
        """Read the weights.

        Raises
        ------
        D2FError
            D2F502 to D2F505: they are missing, damaged, or for another model.
        """
        from d2f_noise_statistics.features import COUNT
        from d2f_noise_statistics.linear import ARRAYS
        from d2f_noise_statistics.planes import keep_freed_memory

        keep_freed_memory()
        held = read_weights(self.weights[0])
        strict(held.arrays, {name: (COUNT,) * len(shape) for name, shape in ARRAYS.items()}, self.weights[0].name)
        self._arrays, self.trained_on = held.arrays, held.trained_on

    def score(self, batch: Any) -> list[Outcome]:
        """Return the log odds of `generated` of each view; small and flat ones are abstained on."""
        return [self._score(pixels) for pixels in batch]

    def _score(self, pixels: NDArray[np.uint8]) -> Outcome:
        from d2f_noise_statistics.features import features
        from d2f_noise_statistics.linear import scores
        from d2f_noise_statistics.planes import unfit

        if reason := unfit(pixels):
            return Abstention(reason)
        return Score(float(scores(self._arrays, features(pixels)[None])[0]))


class TrainableOptions(BaseModel):
    """What the classifier is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Return the features of a view, shape (d,), float64, or None where the detector would abstain."""
        from d2f_noise_statistics.features import features
        from d2f_noise_statistics.planes import unfit

        return None if unfit(pixels) else features(pixels)

    def fit(
        self, features: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64], seed: int
    ) -> dict[str, NDArray[np.float64]]:
        """Fit features (n, d), labels (n,), weights (n,); return the arrays of the weights file."""
        from d2f_noise_statistics.linear import fit

        return fit(features, labels, weights, seed, self.options.strength)

    def predict(self, arrays: Mapping[str, Any], features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores (n,) of features (n, d)."""
        from d2f_noise_statistics.linear import scores

        return scores(arrays, features)
