"""Networks of a few parameters and sets of a few pictures, which train in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from d2f.plugins.catalog import Catalog
from d2f.train.recipe import NetworkRecipe
from d2f.train.run import SilentWatcher, TrainedModel, TrainRequest, train_model

SIZE = 16
RECIPE: dict[str, Any] = {
    "d2f": 1,
    "train": "toy-network",
    "data": {"part": "all", "validation": 0.25},
    "tiles": {"size": SIZE, "count": 2, "pick": "grid"},
    "copies": {"protocol": "as-found"},
    "optimiser": {"rate": 0.05},
    "batch": 8,
    "epochs": 2,
    "seed": 3,
}


class Options(BaseModel):
    """Of the toy network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    logits: int = Field(default=1, description="Of the head.")
    norm: bool = Field(default=False, description="Normalise by the batch.")
    drop: float = Field(default=0.0, description="Drop-out before the head.")
    residual: bool = Field(default=True, description="Has no effect.")


class ToyTrainable:
    """A convolution, a mean and a linear layer."""

    name = "toy-network"
    summary = "A toy."
    Options = Options

    def __init__(self, options: Options) -> None:
        self.options = options

    def build(self) -> Any:
        """Return a fresh network."""
        return toy_network(self.options)


def toy_network(options: Options) -> Any:
    """Return a network of 65 parameters, more with batch norm."""
    import mlx.core as mx
    import mlx.nn as nn

    class Toy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3, 2)
            self.norm = nn.BatchNorm(4) if options.norm else None
            self.drop = nn.Dropout(options.drop)
            self.head = nn.Linear(4, options.logits)

        def __call__(self, x: mx.array) -> mx.array:
            y = self.first(x - 0.5)
            y = y if self.norm is None else self.norm(y)
            logits = self.head(self.drop(mx.abs(y).mean((1, 2))))
            return logits.squeeze(-1) if options.logits == 1 else logits

    return Toy()


def write_pictures(folder: Path, count: int = 12, side: int = 32, seed: int = 0) -> Path:
    """Write `count` smooth photographs and as many rough pictures of a generator, in four sources each."""
    random = np.random.default_rng(seed)
    for label, rough in (("real", 4.0), ("generated/toy", 40.0)):
        for number in range(count):
            target = folder / label / f"place-{number % 4}" / f"{number:03}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            noise = random.normal(0, rough, (side, side, 3))
            pixels = np.clip(random.uniform(80, 170, 3) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(target)
    return folder


def recipe(**changes: Any) -> NetworkRecipe:
    """Return the toy recipe with other values, at dotted keys with two underscores for the dot."""
    return NetworkRecipe.model_validate(RECIPE).changed(
        {key.replace("__", "."): value for key, value in changes.items()}
    )


def catalog() -> Catalog:
    """Return d2f's stages and the toy's."""
    from d2f_jpeg import Jpeg
    from d2f_resize import Resize

    return Catalog.of(ToyTrainable, Jpeg, Resize)


def trained(folder: Path, name: str, wanted: NetworkRecipe, watcher: Any = None, **more: Any) -> TrainedModel:
    """Train on the pictures in `folder`/set, made where they are not there."""
    data = folder / "set"
    if not data.exists():
        write_pictures(data)
    request = TrainRequest(folder / f"{name}.safetensors", str(data), **more)
    return train_model(wanted, catalog(), request, watcher or SilentWatcher())
