"""The preprocessor `jpeg`: recompression at a quality and chroma subsampling."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from d2f import Options, Pixels, Preprocessor, hookimpl

LONGEST = 65500
"""Longest side in pixels that libjpeg encodes."""


def encode(image: Pixels, quality: int, subsampling: str = "4:2:0") -> bytes:
    """Encode as baseline JPEG (ITU-T T.81), YCbCr of JFIF, standard Huffman tables, no metadata.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, 3), uint8
        sRGB, sides from 1 to 65500.
    quality : int
        1 to 100: the tables of T.81 annex K times ``5000 / quality`` % below 50 and ``200 - 2 quality`` % from 50.
    subsampling : {'4:4:4', '4:2:2', '4:2:0'}
        Of the chroma channels.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    ValueError
        A side longer than 65500 pixels.

    Examples
    --------
    >>> import numpy as np
    >>> encode(np.zeros((8, 8, 3), np.uint8), quality=75)[:2].hex()
    'ffd8'
    """
    import numpy as np
    from PIL import Image

    if max(image.shape[:2]) > LONGEST:
        raise ValueError(f"JPEG holds at most {LONGEST} pixels a side, not {max(image.shape[:2])}")
    stream = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.save(stream, "JPEG", quality=quality, subsampling=subsampling, optimize=False, progressive=False)
    return stream.getvalue()


def recompress(image: Pixels, quality: int, subsampling: str = "4:2:0") -> Pixels:
    """Encode as JPEG and decode again.

    Parameters
    ----------
    image, quality, subsampling
        As of `encode`.

    Returns
    -------
    numpy.ndarray, shape of `image`, uint8
        What libjpeg-turbo decodes, with its smooth chroma upsampling.

    Examples
    --------
    >>> import numpy as np
    >>> grey = np.full((16, 16, 3), 128, np.uint8)
    >>> bool((recompress(grey, quality=30) == grey).all())
    True
    """
    import numpy as np
    from PIL.JpegImagePlugin import JpegImageFile

    # Not by Image.open, which would warn of this process's own large pictures.
    with JpegImageFile(io.BytesIO(encode(image, quality, subsampling))) as picture:
        return np.array(picture)


class JpegOptions(Options):
    """Options of the stage."""

    quality: int = Field(default=90, ge=1, le=100, description="Quality on libjpeg's scale, 1 to 100.")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field(
        default="4:2:0",
        description="Chroma at full size (4:4:4), halved across (4:2:2), or halved across and down (4:2:0).",
    )


class Jpeg:
    """Encodes as JPEG and decodes again."""

    name = "jpeg"
    summary = "JPEG recompression at a quality and chroma subsampling."
    Options = JpegOptions
    thread_safe = True

    def __init__(self, options: JpegOptions) -> None:
        self.quality, self.subsampling = options.quality, options.subsampling

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the recompressed picture, uint8 (height, width, 3); `seed` is not used."""
        return recompress(pixels, self.quality, self.subsampling)


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    return [Jpeg]
