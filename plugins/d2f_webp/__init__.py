"""The preprocessor `webp`: recompression as WebP."""

from __future__ import annotations

import io
from collections.abc import Sequence

from pydantic import Field

from d2f import Options, Pixels, Preprocessor, hookimpl

LONGEST = 16383
"""Longest side in pixels that the format holds."""


def recompress(image: Pixels, quality: int = 80, lossless: bool = False, method: int = 4) -> Pixels:
    """Encode as WebP (RFC 9649) by libwebp and decode again.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, 3), uint8
        sRGB, sides from 1 to 16383.
    quality : int
        0 to 100, on libwebp's scale.
    lossless : bool
        Whether every pixel is kept.
    method : int
        The encoder's effort, 0 to 6.

    Returns
    -------
    numpy.ndarray, shape of `image`, uint8
        VP8 keeps chroma at half the resolution each way (4:2:0), unless `lossless`.

    Raises
    ------
    ValueError
        A side longer than 16383 pixels.

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    >>> bool((recompress(ramp, lossless=True) == ramp).all())
    True
    """
    import numpy as np
    from PIL import Image
    from PIL.WebPImagePlugin import WebPImageFile

    if max(image.shape[:2]) > LONGEST:
        raise ValueError(f"WebP holds at most {LONGEST} pixels a side, not {max(image.shape[:2])}")
    stream = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.save(stream, "WEBP", quality=quality, lossless=lossless, method=method)
    # Not by Image.open, which would warn of this process's own large pictures.
    with WebPImageFile(io.BytesIO(stream.getvalue())) as decoded:
        return np.array(decoded)


class WebpOptions(Options):
    """Options of the stage."""

    quality: int = Field(default=80, ge=0, le=100, description="Quality on libwebp's scale, 0 to 100.")
    lossless: bool = Field(default=False, description="Keep every pixel; `quality` then means effort only.")
    method: int = Field(default=4, ge=0, le=6, description="Effort of the encoder, 0 (fast) to 6 (small).")


class Webp:
    """Encodes as WebP and decodes again."""

    name = "webp"
    summary = "WebP recompression at a quality."
    Options = WebpOptions
    thread_safe = True

    def __init__(self, options: WebpOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the recompressed picture, uint8 (height, width, 3); `seed` is not used."""
        return recompress(pixels, self.options.quality, self.options.lossless, self.options.method)


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    return [Webp]
