"""What a recipe says of augmentation."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from d2f.chain.model import ChainModel
from d2f.training.recipe import Options

Range = Annotated[list[int | float], Field(min_length=2, max_length=2)]


class Choice(ChainModel):
    """One operation: a preprocessor by name, or one of `crop`, `flip`, `rotate`, `colour`, `cut-out` of this room."""

    use: str = Field(description="Name of the preprocessor or operation.")
    with_: Options = Field(alias="with", description="Its own options.")
    draw: dict[str, Range] = Field(
        default={}, description="Options drawn anew each time, evenly between two bounds; whole numbers stay whole."
    )


class Augmentation(ChainModel):
    """An operation, or one of several, laid over a tile with a probability."""

    use: str | None = Field(default=None, description="Name of the preprocessor or operation.")
    with_: Options = Field(alias="with", description="Its own options.")
    draw: dict[str, Range] = Field(default={}, description="Options drawn anew each time, between two bounds.")
    one_of: list[Choice] = Field(default=[], description="Instead of `use`: one of these is drawn, all alike.")
    probability: float = Field(default=1.0, gt=0.0, le=1.0, description="How often it is laid over a tile.")

    @model_validator(mode="after")
    def _either(self) -> Augmentation:
        if (self.use is None) == (not self.one_of):
            raise ValueError("give either `use` or `one_of`")
        return self

    @property
    def choices(self) -> list[Choice]:
        """The operations that one is drawn from."""
        if self.one_of:
            return self.one_of
        plain: dict[str, Any] = {"use": self.use, "with": self.with_, "draw": self.draw}
        return [Choice.model_validate(plain)]
