"""Small stages of every kind, so that the tests of chain files depend on no plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from d2f import Abstention, Combination, D2FError, Evidence, FileBytes, ImageFile, Tiles, Weights, WholeImage
from d2f.plugins.catalog import Catalog
from tests.unit.chain.fragile import Fragile

SHA = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wiener:
    name = "wiener"
    summary = "Adaptive filter."

    class Options(Frozen):
        window: int = Field(default=3, ge=3, le=31, description="Side of the window, odd.")
        noise: float | None = Field(default=None, ge=0, description="Noise variance; estimated by default.")

        @field_validator("window")
        @classmethod
        def _odd(cls, value: int) -> int:
            if value % 2 == 0:
                raise ValueError("must be odd")
            return value

    def __init__(self, options: Options) -> None:
        self.options = options

    def apply(self, pixels: Any, seed: int) -> Any:
        return pixels


class Jpeg:
    name = "jpeg"
    summary = "Recompression."

    class Options(Frozen):
        quality: int = Field(ge=1, le=100, description="JPEG quality.")
        subsampling: Literal["4:4:4", "4:2:0"] = Field(default="4:2:0", description="Chroma subsampling.")

    def __init__(self, options: Options) -> None:
        self.options = options

    def apply(self, pixels: Any, seed: int) -> Any:
        return pixels // 2


class NoOptions(Frozen):
    pass


class NoiseStatistics:
    name = "noise-statistics"
    summary = "Mean grey level, for tests."
    wants = WholeImage()
    sha256: ClassVar[str] = SHA

    class Options(Frozen):
        weights: str = Field(default="default", description="Name of the weights.")
        scale: float = Field(default=1.0, gt=0, description="Factor of the score.")

    def __init__(self, options: Options) -> None:
        self.options = options
        if options.weights not in ("default", "other"):
            raise D2FError.of("D2F501", f"unknown weights '{options.weights}'", "known: default, other")
        self.weights = (Weights(f"noise-statistics/{options.weights}", self.sha256, "MIT", ()),)

    def score(self, batch: Sequence[Any]) -> Sequence[float]:
        return [float(view.mean()) * self.options.scale for view in batch]


class Resnet:
    name = "resnet"
    summary = "A network, for tests."
    wants = Tiles(size=8)
    Options = NoOptions

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def score(self, batch: Any) -> Sequence[float]:
        return [float(tile.std()) for tile in batch]


class Provenance:
    name = "provenance"
    summary = "Reads the file."
    wants = FileBytes()
    Options = NoOptions

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def score(self, batch: Sequence[Any]) -> Sequence[float]:
        return [float(len(image.data)) for image in batch]


class NeedsTorch:
    name = "needs-torch"
    summary = "Requires what is not installed."
    wants = WholeImage()
    requires = ("torch-of-another-world>=2",)
    Options = NoOptions

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def score(self, batch: Sequence[Any]) -> Sequence[float]:
        return []


class Platt:
    name = "platt"
    summary = "Logistic calibration."

    class Options(Frozen):
        slope: float = Field(description="Factor of the score.")
        bias: float = Field(description="Added to it.")

    def __init__(self, options: Options) -> None:
        self.options = options

    def probability(self, scores: Any) -> Any:
        return 1 / (1 + np.exp(-np.clip(self.options.slope * scores + self.options.bias, -500, 500)))

    @classmethod
    def fit(cls, scores: Any, labels: Any, weights: Any) -> Options:
        return cls.Options(slope=1.0, bias=0.0)


class LogitMean:
    name = "logit-mean"
    summary = "Mean of logits."
    Options = NoOptions

    def __init__(self, options: NoOptions, members: Sequence[str]) -> None:
        self.members = members

    def combine(self, probabilities: Any) -> Combination:
        logits = np.nan_to_num(np.log(probabilities) - np.log1p(-probabilities))
        contributions = logits / len(self.members)
        return Combination(contributions.sum(axis=1), contributions)

    @classmethod
    def fit(cls, options: Any, members: Any, probabilities: Any, labels: Any, weights: Any) -> Any:
        return options


class Logistic(LogitMean):
    name = "logistic"
    summary = "Weighted sum of logits."

    class Options(Frozen):
        weights: dict[str, float] = Field(default={}, description="Weight of each member.")
        bias: float = Field(default=0.0, description="Added to the sum.")

    def __init__(self, options: Options, members: Sequence[str]) -> None:
        if not options.weights:
            raise D2FError.of("D2F127", "combiner 'logistic' has no weights", "fit the chain: d2f chain fit")
        if set(options.weights) != set(members):
            lacking = ", ".join(member for member in members if member not in options.weights)
            raise D2FError.of("D2F122", f"combiner 'logistic' has no weight for {lacking}")
        self.options, self.members = options, members


class Size:
    name = "size"
    summary = "A shortest side, for tests."

    class Options(Frozen):
        short_side: int = Field(default=8, ge=1, description="Least pixels of the shorter side.")

    def __init__(self, options: Options) -> None:
        self.options = options

    def check(self, image: ImageFile) -> Abstention | None:
        side = min(image.width, image.height)
        return Abstention(f"the shorter side has {side} pixels") if side < self.options.short_side else None


class Name:
    name = "name"
    summary = "Evidence of the first bytes, for tests."
    Options = NoOptions

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def read(self, data: bytes, pixels: Any) -> Sequence[Evidence]:
        return [Evidence("bytes", f"it begins with {data[:4]!r}", "byte 0", "certain")]


STAGES = (
    Size,
    Name,
    Wiener,
    Jpeg,
    NoiseStatistics,
    Resnet,
    Provenance,
    Fragile,
    NeedsTorch,
    Platt,
    LogitMean,
    Logistic,
)


def catalog() -> Catalog:
    """Return a catalog of these stages alone."""
    return Catalog.of(*STAGES)
