"""What a recipe says of the optimiser and its schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from d2f.chain.model import ChainModel


class Optimiser(ChainModel):
    """How weights are changed."""

    use: Literal["sgd", "adam", "adamw"] = Field(default="sgd", description="Name of the optimiser.")
    rate: float = Field(default=0.01, gt=0.0, description="Learning rate at the top of the schedule.")
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0, description="Of sgd.")
    nesterov: bool = Field(default=False, description="Of sgd: look ahead along the momentum.")
    decay: float = Field(
        default=0.0, ge=0.0, description="Weight decay: of sgd in the gradient, of adamw apart from it."
    )
    betas: list[Annotated[float, Field(ge=0.0, lt=1.0)]] = Field(
        default=[0.9, 0.999], min_length=2, max_length=2, description="Of adam and adamw."
    )
    clip: float | None = Field(default=None, gt=0.0, description="Greatest norm of an update's gradient.")


class Schedule(ChainModel):
    """How the rate changes over a run."""

    use: Literal["constant", "step", "cosine", "plateau"] = Field(default="constant", description="Its shape.")
    every: int = Field(default=10, ge=1, description="Of step: epochs between two reductions.")
    factor: float = Field(
        default=0.1, gt=0.0, lt=1.0, description="Of step and plateau: what the rate is multiplied by."
    )
    patience: int = Field(default=4, ge=1, description="Of plateau: epochs without a lower validation loss.")
    floor: float = Field(default=0.0, ge=0.0, description="The least rate.")
    warm_up: int = Field(default=0, ge=0, description="Updates over which the rate rises evenly from 0.")
