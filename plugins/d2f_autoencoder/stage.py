"""The stage: options checked, the network loaded when it is needed."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from d2f_autoencoder.records import NAME, chosen, read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_one_at_a_time = Lock()
"""MLX arrays that wait to be computed belong to a thread, and instances may be called from different ones."""


class AutoencoderOptions(BaseModel):
    """Which autoencoder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str = Field(
        default=NAME,
        description="taef2, or a path to a folder that holds taef2_encoder and taef2_decoder as .safetensors or .pth.",
    )


class Autoencoder:
    """A picture through a generator's latent autoencoder and back; see `d2f_autoencoder.taef2`.

    Not `thread_safe`: one picture at a time is computed, on all cores that there are.
    """

    name = "autoencoder"
    summary = "A generator's latent autoencoder: encoded, and decoded again."
    Options = AutoencoderOptions

    def __init__(self, options: AutoencoderOptions) -> None:
        self.weights = chosen(options.weights)
        self._encoder: Any = None
        self._decoder: Any = None

    def load(self) -> None:
        """Read the weights.

        Raises
        ------
        D2FError
            D2F502 to D2F505: they are missing, damaged, or of another network.
        """
        encoder, decoder = read(self.weights)
        from d2f_autoencoder.taef2 import Decoder, Encoder

        self._encoder, self._decoder = Encoder(encoder), Decoder(decoder)

    def apply(self, pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return the picture's reconstruction, uint8 (height, width, 3); `seed` is not used."""
        import numpy as np

        from d2f_autoencoder.taef2 import SCALE

        height, width = pixels.shape[:2]
        padded = np.pad(pixels, ((0, -height % SCALE), (0, -width % SCALE), (0, 0)), mode="reflect")
        with _one_at_a_time:
            whole = self._decoder(self._encoder(padded))
        return np.ascontiguousarray(whole[:height, :width])
