"""The detector; MLX is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from d2f import Abstention, FileBytes, Outcome, Score, Tiles, Weights, WholeImage
from d2f.weights import as_record, read_weights, resolve
from d2f_frequency_residual.options import DetectorOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECORDS = (
    Weights(
        name="frequency-residual/default",
        sha256="0fecb5e0779d3898f017d68ae365f8a3cb9d8a513c7833bb6d18d0511557a799",
        licence="MIT",
        sources=("package:d2f_frequency_residual/default.safetensors",),
        description="Trained on 3,061 images of 63 collections, as found and laundered.",
    ),
)


class FrequencyResidual:
    """Block spectra of a high-pass residual into a small network; above 0 for generated."""

    name = "frequency-residual"
    summary = "Block spectra of the high-pass residual at several scales into a small network."
    Options = DetectorOptions
    wants: WholeImage | Tiles | FileBytes = WholeImage()

    def __init__(self, options: DetectorOptions) -> None:
        self.options = options
        self.weights = (as_record(resolve(options.weights, RECORDS)),)
        self.trained_on: NDArray[np.uint64] | None = None
        self._network: Any = None

    def load(self) -> None:
        """Read the weights.

        Raises
        ------
        D2FError
            D2F502 to D2F505: they are missing, damaged, or for another network.
        """
        from d2f_frequency_residual.reading import read_network

        held = read_weights(self.weights[0])
        self._network, self.trained_on = read_network(held, self.weights[0].name), held.trained_on

    def score(self, batch: Any) -> Sequence[Outcome]:
        """Return the logit of `generated` of each view's central window; small and flat views are abstained on."""
        from d2f_frequency_residual.window import central, unfit

        reasons = [unfit(pixels) for pixels in batch]
        outcomes: list[Outcome] = [Abstention(reason) for reason in reasons]
        alike: dict[tuple[int, ...], list[int]] = {}
        for place, (pixels, reason) in enumerate(zip(batch, reasons, strict=True)):
            if not reason:
                alike.setdefault(pixels.shape, []).append(place)
        for places in alike.values():
            windows = [central(batch[place], self.options.window) for place in places]
            for place, score in zip(places, self._logits(windows), strict=True):
                outcomes[place] = Score(score)
        return outcomes

    def _logits(self, windows: list[NDArray[np.uint8]]) -> list[float]:
        """Return the logits of windows of one size."""
        import mlx.core as mx
        import numpy as np

        from d2f.layers import parallel

        logits: list[float] = np.array(parallel(self._network, mx.array(np.stack(windows)), images=4)).tolist()
        return logits
