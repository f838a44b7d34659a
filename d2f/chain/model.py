"""The chain file as pydantic models; the descriptions feed the errors, the JSON schema and the reference."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

FORMAT_VERSION = 1
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SHAPE = "lower-case letters, digits, - and _, at most 64, a letter or digit first"


def _identifier(text: str) -> str:
    if not IDENTIFIER.fullmatch(text):
        raise ValueError(f"must be {SHAPE}")
    return text


Identifier = Annotated[
    str,
    AfterValidator(_identifier),
    WithJsonSchema({"type": "string", "pattern": f"^{IDENTIFIER.pattern}$"}),
]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class ChainModel(BaseModel):
    """What all parts of a chain file share: frozen, no unknown key, text is no number and a number no text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class StageUse(ChainModel):
    """A stage by name, with its options."""

    use: str = Field(description="Name of the stage, as `d2f plugin list` shows it.")
    with_: dict[str, Any] = Field(default={}, alias="with", description="The stage's own options.")


class DetectorUse(StageUse):
    """A detector and the views that it looks at."""

    id: Identifier = Field(
        default="", description="The detector's name in this chain; cells are called id/view. Left out: `use`."
    )
    views: list[Identifier] = Field(
        default=["plain"], min_length=1, description="Views that the detector looks at; `plain` is the image itself."
    )

    @model_validator(mode="before")
    @classmethod
    def _id_defaults_to_use(cls, value: Any) -> Any:
        use = value.get("use") if isinstance(value, dict) else None
        if isinstance(use, str) and "id" not in value and IDENTIFIER.fullmatch(use):
            return {**value, "id": use}
        return value


class Combine(StageUse):
    """How the cells' probabilities become one."""

    use: str = Field(default="logit-mean", description="Name of the combiner.")
    need: int = Field(
        default=1, ge=1, description="With fewer cells that have a probability, the verdict is `inconclusive`."
    )
    calibrate: StageUse | None = Field(
        default=None, description="Calibrator of the combined log-likelihood ratio; written by `d2f chain fit`."
    )


class VerdictRule(ChainModel):
    """From the probability to `generated`, `real` or `inconclusive`."""

    prior: float = Field(default=0.5, gt=0.0, lt=1.0, description="Probability of `generated` before looking.")
    real_below: Probability = Field(default=0.35, description="A probability below this is `real`.")
    generated_above: Probability = Field(default=0.65, description="A probability above this is `generated`.")
    false_positive_rate: Probability = Field(
        default=0.05, description="Share of photographs that `d2f chain fit` may let be called `generated`."
    )
    miss_rate: Probability = Field(
        default=0.05, description="Share of generated images that `d2f chain fit` may let be called `real`."
    )


StandIns = Annotated[
    dict[str, list[str]] | None,
    Field(description="By detector, sha256 of the weights that scored the images which its own were trained on."),
]


class RefittedThresholds(ChainModel):
    """What the thresholds alone were fitted on, after the rest."""

    data: str = Field(description="Digest of the images' digests and labels.")
    images: int = Field(ge=1, description="How many images.")
    real: int = Field(default=0, ge=0, description="How many of them are photographs.")
    generated: int = Field(default=0, ge=0, description="How many of them are generated.")
    collections: int = Field(default=0, ge=0, description="How many connected components of (collection, group).")
    protocol: Literal["matched", "as-is"] = Field(default="as-is", description="How images were brought alike.")
    date: Annotated[datetime.date, Field(strict=False)] = Field(description="When.")
    stand_ins: StandIns = None


class Fitted(ChainModel):
    """What the chain was fitted on; written by `d2f chain fit`."""

    data: str = Field(description="Digest of the images' digests and labels.")
    images: int = Field(ge=1, description="How many images.")
    real: int = Field(default=0, ge=0, description="How many of them are photographs.")
    generated: int = Field(default=0, ge=0, description="How many of them are generated.")
    collections: int = Field(default=0, ge=0, description="How many connected components of (collection, group).")
    protocol: Literal["matched", "as-is"] = Field(default="matched", description="How images were brought alike.")
    attacks: list[str] = Field(default=[], description="Laundered copies that were added.")
    date: Annotated[datetime.date, Field(strict=False)] = Field(description="When.")
    d2f: str = Field(description="Version of d2f.")
    weights: dict[str, str] = Field(default={}, description="sha256 of each weights file that was in use, by name.")
    stand_ins: StandIns = None
    thresholds: RefittedThresholds | None = Field(
        default=None, description="What `d2f chain fit --only thresholds` re-fitted the thresholds on."
    )


class ChainFile(ChainModel):
    """A chain file, format version 1."""

    d2f: Literal[1] = Field(description="Format version; checked first.")
    name: Identifier = Field(description="The chain's name, written in every row.")
    description: str = Field(default="", description="One line for a person.")
    images: list[str] = Field(
        default=[], description="Images, folders or globs, relative to this file, that a run without any takes."
    )
    views: dict[str, Annotated[list[StageUse], Field(min_length=1)]] = Field(
        default={}, description="Each view is a list of preprocessors, laid over the decoded image in order."
    )
    detectors: list[DetectorUse] = Field(min_length=1, description="The detectors, each over one or more views.")
    calibrate: dict[str, StageUse] = Field(
        default={}, description="Calibrator of each cell, by id/view; written by `d2f chain fit`."
    )
    combine: Combine = Field(default=Combine(), description="How the cells' probabilities become one.")
    verdict: VerdictRule = Field(default=VerdictRule(), description="From the probability to a verdict.")
    fitted: Fitted | None = Field(default=None, description="What the chain was fitted on.")
