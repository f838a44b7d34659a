"""The detector; MLX is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from d2f import FileBytes, Problem, Tiles, Weights, WeightsMissing, WholeImage
from d2f.weights import as_record, read_weights, resolve
from d2f_resnet.options import DetectorOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECORDS: tuple[Weights, ...] = ()
"""The weights that ship."""

RECIPES = ("plain", "robust")
"""Names of weights whose recipes ship."""

BATCH = 16


class ResNetDetector:
    """A residual network on tiles; an image's score is its tiles' logits pooled, above 0 for generated."""

    name = "resnet"
    summary = "A residual network on tiles, trained by d2f train."
    Options = DetectorOptions
    wants: WholeImage | Tiles | FileBytes

    def __init__(self, options: DetectorOptions) -> None:
        self.options = options
        self.wants = Tiles(options.count, options.tile, options.pick, options.pool, BATCH)
        self.trained_on: NDArray[np.uint64] | None = None
        self.weights: tuple[Weights, ...] = () if self._unshipped else (as_record(resolve(options.weights, RECORDS)),)
        self._network: Any = None

    def load(self) -> None:
        """Read the weights, and fold batch norm into the convolutions.

        Raises
        ------
        D2FError
            D2F502 to D2F505: they are missing, damaged, or for another network.
        """
        if self._unshipped:
            raise WeightsMissing(_unshipped(self.options.weights))
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

    @property
    def _unshipped(self) -> bool:
        shipped = {record.name.rpartition("/")[2] for record in RECORDS}
        return self.options.weights in RECIPES and self.options.weights not in shipped


def _unshipped(name: str) -> Problem:
    notes = (
        f"to make them: d2f train plugins/d2f_resnet/{name}.yaml --data DIR -o {name}.safetensors, "
        f"and then the option weights: {name}.safetensors",
    )
    return Problem("D2F502", f"weights 'resnet/{name}' do not ship with this version", notes=notes)
