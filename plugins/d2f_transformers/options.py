"""Which model, and which of its labels mean `generated`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TransformersOptions(BaseModel):
    """An image-classification model: where it is, and how its labels are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(
        default="",
        description="ORG/NAME of the Hugging Face hub, fetched before; or a path to a folder, such as ./own.",
    )
    revision: str = Field(
        default="main", pattern=r"^[\w.-]+$", description="Of a hub's model: commit, tag or branch as it was fetched."
    )
    generated: tuple[str, ...] = Field(
        default=(),
        description="Labels that mean `generated`; without them load() says what the labels are, and a guess.",
    )
    real: tuple[str, ...] = Field(default=(), description="Labels that mean `real`; by default all others.")
    guess: bool = Field(
        default=False, description="Take the guess by the labels' words where `generated` is not given."
    )
    higher: Literal["generated", "real"] = Field(
        default="generated", description="Of a model with one label: what a higher output says."
    )
    device: Literal["cpu", "auto", "cuda", "mps"] = Field(
        default="cpu", description="Where PyTorch computes; `auto` takes CUDA or Metal where it is there."
    )
