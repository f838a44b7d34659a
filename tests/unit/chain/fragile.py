"""A detector that cannot be constructed; in a file of its own, because the snapshot names the line."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from d2f import WholeImage


class Fragile:
    name = "fragile"
    summary = "Cannot be constructed."
    wants = WholeImage()

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, options: Options) -> None:
        raise RuntimeError("the moon is full")

    def score(self, batch: Any) -> list[float]:
        return []
