"""What there is to choose: the network's shape, and how the detector looks at a view."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class NetworkOptions(BaseModel):
    """The network; recipes give them under `with`, and weights files carry them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scales: int = Field(
        default=3, ge=1, le=4, description="Sizes of the picture whose spectra are read: 1, 1/2, 1/4, 1/8."
    )
    colour: bool = Field(default=True, description="Read chroma too, at scales below 1; else luma alone.")
    hidden: int = Field(default=0, ge=0, description="Units between the statistics and the logit; 0 for none.")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Of the statistics, in training.")


class DetectorOptions(BaseModel):
    """What the detector is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str = Field(default="default", description="Name of a set of weights, or a path.")
    window: int = Field(
        default=512, ge=64, description="Greatest side of the central window that is looked at, in pixels."
    )
