"""The detector: what d2f asks of it on one side, what PyTorch wants on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

import d2f
from d2f.weights import as_record, read_weights, resolve, strict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECORDS = (
    d2f.Weights(
        name="torch-residual/default",
        sha256="b5aa49ecc4538242dd093a3ea36bfc83003c0885ef5a01df7f5b409c572bc9ba",
        licence="MIT",
        sources=("package:d2f_torch_residual/default.safetensors",),
        description="Fitted to simulated pictures by train.py: it shows how, not how well.",
    ),
)


class TorchResidualOptions(BaseModel):
    """What a chain file may say under `with`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str = Field(default="default", description="Name of a set of weights, or a path.")
    device: str = Field(default="cpu", description="Where PyTorch computes: cpu, cuda or mps.")


class TorchResidual:
    """Mean logit of four tiles."""

    name = "torch-residual"
    summary = "A small PyTorch network on learned high-pass filters."
    Options = TorchResidualOptions
    # What is missing is told with the command that installs it, and only to who uses the stage.
    requires = ("torch>=2.4",)
    # Always (8, 128, 128, 3): one shape, so that a score does not depend on how many pictures came along.
    wants = d2f.Tiles(count=4, size=128, pick="grid", batch=8)

    def __init__(self, options: TorchResidualOptions) -> None:
        self.options = options
        self.weights = (as_record(resolve(options.weights, RECORDS)),)
        self.trained_on: NDArray[np.uint64] | None = None
        self._network: Any = None

    def load(self) -> None:
        """Read the weights, strictly, as arrays; no pickle is opened."""
        import torch

        from d2f_torch_residual.network import ResidualNetwork

        network = ResidualNetwork()
        held = read_weights(self.weights[0])
        shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        strict(held.arrays, shapes, self.weights[0].name)
        network.load_state_dict({name: torch.tensor(value) for name, value in held.arrays.items()})
        self._network = network.eval().to(self.options.device)
        self.trained_on = held.trained_on

    def score(self, batch: NDArray[np.uint8]) -> list[float]:
        """Return a logit for each tile of (n, size, size, 3)."""
        import torch

        with torch.inference_mode():
            # A copy: what a stage is given cannot be written to, and PyTorch wants to own what it wraps.
            pictures = torch.tensor(batch, device=self.options.device).permute(0, 3, 1, 2) / 255.0
            return self._network(pictures).tolist()
