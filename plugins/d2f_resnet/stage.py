"""The detector; MLX is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from d2f import Input, Options, Tiles, Weights
from d2f.weights import read_weights, resolve

RECORDS: tuple[Weights, ...] = (
    Weights(
        name="resnet/plain",
        sha256="20fe7ff45b1ae820ddb52c20fb30384183039241943213b8aa7e318a46787f5f",
        licence="MIT",
        sources=("package:d2f_resnet/plain.safetensors",),
        description="ResNet-44, early stem, on 2,973 images of 60 collections, without laundering.",
    ),
    Weights(
        name="resnet/robust",
        sha256="645736b7fb46228d3a78682dbc3ec0642d758e01749ab0a3bd9eeab00eddf1d2",
        licence="MIT",
        sources=("package:d2f_resnet/robust.safetensors",),
        description="The same network trained further on the same images, laundered.",
    ),
    Weights(
        name="resnet/whole",
        sha256="6f780dd962eef933a092614ea3befc1bd3e8ae12576964a5cab97be8bc6c4871",
        licence="MIT",
        sources=("package:d2f_resnet/whole.safetensors",),
        description="The laundered network trained further on whole pictures.",
    ),
)
"""The weights that ship."""

BATCH = 16


class DetectorOptions(Options):
    """Options of the detector."""

    weights: str = Field(default="robust", description="Name of a set of weights, or a path.")
    tile: int = Field(
        default=224, ge=8, description="Side of a tile in pixels: that which the weights were trained on."
    )
    count: int = Field(default=4, ge=1, description="The most tiles taken from one view.")
    pick: Literal["centre", "grid", "texture"] = Field(default="grid", description="Which tiles.")
    pool: Literal["mean", "median", "max"] = Field(default="mean", description="How tile scores become the image's.")


class ResNetDetector:
    """A residual network on tiles; an image's score is its tiles' logits pooled, above 0 for generated."""

    name = "resnet"
    summary = "A residual network on tiles, trained by d2f train."
    title = "texture of tiles"
    looks_at = "Squares of 224 pixels at full scale, by a network trained on photographs and generated pictures."
    Options = DetectorOptions
    wants: Input

    def __init__(self, options: DetectorOptions) -> None:
        self.options = options
        self.wants = Tiles(options.count, options.tile, options.pick, options.pool, BATCH)
        self.weights = (resolve(options.weights, RECORDS),)
        self.trained_on: Any = None
        self._network: Any = None

    def load(self) -> None:
        """Read the weights, and fold batch norm into the convolutions."""
        from d2f.layers import fold_batch_norm
        from d2f_resnet.network import read_network

        held = read_weights(self.weights[0])
        network = read_network(held, self.weights[0].name, self.options.tile)
        self._network, self.trained_on = fold_batch_norm(network), held.trained_on

    def score(self, batch: Any) -> Sequence[float]:
        """Return the logit of `generated` of each tile, uint8 (n, size, size, 3)."""
        import mlx.core as mx
        import numpy as np

        from d2f.layers import parallel

        logits = np.array(parallel(self._network, mx.array(batch).astype(mx.float32) / 255.0))
        scores: list[float] = (logits if logits.ndim == 1 else logits[:, 1] - logits[:, 0]).tolist()
        return scores
