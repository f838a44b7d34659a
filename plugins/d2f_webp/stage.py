"""The stage: options checked, the codec loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class WebpOptions(BaseModel):
    """What the WebP encoder is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quality: int = Field(default=80, ge=0, le=100, description="Quality on libwebp's scale, 0 to 100.")
    lossless: bool = Field(default=False, description="Keep every pixel; `quality` then means effort only.")
    method: int = Field(default=4, ge=0, le=6, description="Effort of the encoder, 0 (fast) to 6 (small).")


class Webp:
    """Encodes as WebP and decodes again; see `d2f_webp.codec`."""

    name = "webp"
    summary = "WebP recompression at a quality."
    Options = WebpOptions
    thread_safe = True

    def __init__(self, options: WebpOptions) -> None:
        self.options = options

    def apply(self, pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return the recompressed picture, uint8 (height, width, 3); `seed` is not used."""
        from d2f_webp.codec import recompress

        return recompress(pixels, self.options.quality, self.options.lossless, self.options.method)
