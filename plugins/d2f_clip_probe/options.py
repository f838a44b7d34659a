"""What there is to choose, for the detector and for what `d2f train` fits."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

Crop: TypeAlias = Literal["whole", "native", "standard"]
"""What of a view the tower is shown: see `d2f_clip_probe.crops`."""

Precision: TypeAlias = Literal["float32", "bfloat16"]
"""In which the tower multiplies: scores differ in the third digit, so that it is an option, never the machine's."""

PRECISION = "In which the tower multiplies; bfloat16 needs PyTorch, and pays on processors that multiply it."
TOWER = "clip-vit-b16"
WHICH = "Image tower: one that `d2f weights list` shows, or NAME=PATH for a file of one's own of that tower's kind."


def blocks_of(chosen: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Return the chosen blocks, or the default ones of a tower of so many.

    >>> blocks_of((), 12), blocks_of((), 24), blocks_of((3,), 12)
    ((5, 6, 7, 8, 9, 10, 11, 12), (10, 12, 14, 16, 18, 20, 22, 24), (3,))
    """
    first = 5 * depth / 12
    return chosen or tuple(sorted({max(1, round(first + (depth - first) * step / 7)) for step in range(8)}))


class DetectorOptions(BaseModel):
    """What the detector is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str = Field(default="default", description="Name of a set of weights of the head, or a path.")
    tower: str = Field(default=TOWER, description=WHICH)
    precision: Precision = Field(default="float32", description=PRECISION)


class Hidden(BaseModel):
    """A head with a hidden layer: its size, and how it is fitted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    units: int = Field(default=128, ge=1, description="Units of the hidden layer.")
    members: int = Field(default=3, ge=1, description="Networks whose mean is the score.")
    epochs: int = Field(default=30, ge=1, description="How often each copy is seen.")
    batch: int = Field(default=64, ge=2, description="Copies a step.")
    rate: float = Field(default=0.001, gt=0.0, description="Learning rate at first; it falls to 0 along a cosine.")
    decay: float = Field(default=0.1, ge=0.0, description="Decoupled weight decay of the inner weights (AdamW).")
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0, description="Share of hidden units that a step leaves out.")
    mixup: float = Field(default=0.4, ge=0.0, description="Both parameters of the beta distribution of mixup; 0: none.")


class TrainableOptions(BaseModel):
    """The head, and what of the tower it is given; weights files carry it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(),
        description="After which blocks of the tower the class token is taken, rising; by default eight, evenly from "
        "the fifth twelfth of the tower on.",
    )
    crops: tuple[Crop, ...] = Field(
        default=("whole", "native"),
        min_length=1,
        description="What of a view the tower is shown: whole, native, standard.",
    )
    strength: float = Field(
        default=0.005,
        gt=0.0,
        allow_inf_nan=False,
        description="Inverse of the ridge penalty of a linear head: scikit-learn's C.",
    )
    hidden: Hidden | None = Field(default=None, description="A hidden layer; without it the head is linear.")
    tower: str = Field(default=TOWER, description=WHICH)
    precision: Precision = Field(default="float32", description=PRECISION)

    @field_validator("blocks")
    @classmethod
    def _rising(cls, blocks: tuple[int, ...]) -> tuple[int, ...]:
        if list(blocks) != sorted(set(blocks)):
            raise ValueError("blocks are named once each, rising")
        return blocks
