"""The stage: options checked, the codec loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class JpegOptions(BaseModel):
    """What the JPEG encoder is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quality: int = Field(default=90, ge=1, le=100, description="Quality on libjpeg's scale, 1 to 100.")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field(
        default="4:2:0",
        description="Chroma at full size (4:4:4), halved across (4:2:2), or halved across and down (4:2:0).",
    )


class Jpeg:
    """Encodes as JPEG and decodes again; see `d2f_jpeg.codec`."""

    name = "jpeg"
    summary = "JPEG recompression at a quality and chroma subsampling."
    Options = JpegOptions
    thread_safe = True

    def __init__(self, options: JpegOptions) -> None:
        self.quality, self.subsampling = options.quality, options.subsampling

    def apply(self, pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Return the recompressed picture, uint8 (height, width, 3); `seed` is not used."""
        from d2f_jpeg.codec import recompress

        return recompress(pixels, self.quality, self.subsampling)
