"""What EXIF says of camera, program and date, and whether it agrees with itself and with the picture."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from d2f import Evidence
from d2f_provenance.evidence import FORGEABLE, bounded, in_line
from d2f_provenance.fields import (
    MAKE,
    MODEL,
    MODIFIED,
    ORIENTATION,
    PIXEL_HEIGHT,
    PIXEL_WIDTH,
    SOFTWARE,
    TAKEN,
    Exif,
)
from d2f_provenance.generators import is_generator_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

THUMBNAIL_AGREES = 0.5
"""Correlation of thumbnail and picture, both brought to 32 x 32 grey, below which they are said to differ."""


UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What brings a thumbnail upright, by EXIF's orientation; Pillow's names."""


def camera_evidence(exif: Sequence[Exif], pixels: NDArray[np.uint8] | None) -> Iterator[Evidence]:
    """Yield what EXIF names, and where it does not agree; none of it counts for or against generation.

    Parameters
    ----------
    exif : sequence of Exif
    pixels : numpy.ndarray, shape (height, width, 3), uint8, optional
        The decoded picture, upright.
    """
    for each in exif:
        make, model = in_line(each.text(MAKE), 40), in_line(each.text(MODEL), 60)
        taken = each.date(TAKEN)
        if make and model and not is_generator_name(make) and not is_generator_name(model):
            name = model if model.lower().startswith(make.lower()) else f"{make} {model}"
            when = f", picture taken {taken:%Y-%m-%d %H:%M:%S}" if taken else ", without a date of the picture"
            yield Evidence(
                "camera", f"EXIF names a camera: {name}{when}.", f"{each.source} EXIF Make", FORGEABLE, raw=name
            )
        program = in_line(each.text(SOFTWARE))
        if program and not is_generator_name(program):
            statement = f"EXIF names the program that wrote the file: {program}."
            yield Evidence("exif", statement, f"{each.source} EXIF Software", FORGEABLE, raw=program)
        yield from _consistency(each, pixels)


def _consistency(exif: Exif, pixels: NDArray[np.uint8] | None) -> Iterator[Evidence]:
    taken, modified = exif.date(TAKEN), exif.date(MODIFIED)
    if taken and modified and modified < taken:
        raw = f"DateTimeOriginal {taken}, DateTime {modified}"
        yield _fact(
            "EXIF says that the file was changed before the picture was taken.", f"{exif.source} EXIF DateTime", raw
        )
    if pixels is None:
        return
    stated = sorted((exif.number(PIXEL_WIDTH), exif.number(PIXEL_HEIGHT)))
    actual = sorted((pixels.shape[1], pixels.shape[0]))
    if stated[0] > 0 and stated != actual:
        raw = f"EXIF {stated[1]}x{stated[0]}, file {actual[1]}x{actual[0]}"
        statement = f"EXIF states {stated[1]}x{stated[0]} pixels, the picture has {actual[1]}x{actual[0]}."
        yield _fact(statement, f"{exif.source} EXIF PixelXDimension", raw)
    agreement = _thumbnail_agreement(exif, pixels)
    if agreement is not None and agreement < THUMBNAIL_AGREES:
        statement = f"The thumbnail in EXIF shows something else than the picture: correlation {agreement:.2f}."
        yield _fact(statement, f"{exif.source} EXIF thumbnail", f"r={agreement:.3f}")


def _fact(statement: str, source: str, raw: str) -> Evidence:
    return Evidence("consistency", statement, source, FORGEABLE, raw=bounded(raw))


def _thumbnail_agreement(exif: Exif, pixels: NDArray[np.uint8]) -> float | None:
    """Return the correlation of thumbnail and picture, None where there is no thumbnail or too little contrast."""
    if not exif.thumbnail.startswith(b"\xff\xd8\xff"):
        return None
    import numpy as np
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        small: Image.Image = JpegImageFile(io.BytesIO(exif.thumbnail))
        if max(small.size) > 1024:
            return None
        small = small.convert("L")
    except (OSError, SyntaxError, ValueError):
        return None
    height, width = pixels.shape[:2]
    thin = pixels[:: max(1, height // 256), :: max(1, width // 256)]
    picture = _grid(Image.fromarray(np.ascontiguousarray(thin)).convert("L"))
    turn = UPRIGHT.get(exif.number(ORIENTATION) or 1)
    upright = small if turn is None else small.transpose(Image.Transpose[turn])
    preview = _grid(_without_bars(upright, width / height))
    if min(picture.std(), preview.std()) < 4.0:
        return None
    return float(np.corrcoef(picture.ravel(), preview.ravel())[0, 1])


def _without_bars(small: Image.Image, aspect: float) -> Image.Image:
    """Cut a thumbnail's middle to the picture's width over height: cameras put black bars around it."""
    width, height = small.size
    wide, high = min(width, round(height * aspect)), min(height, round(width / aspect))
    left, top = (width - wide) // 2, (height - high) // 2
    return small.crop((left, top, left + max(1, wide), top + max(1, high)))


def _grid(image: Image.Image) -> NDArray[np.float64]:
    import numpy as np
    from PIL import Image as Images

    return np.asarray(image.resize((32, 32), Images.Resampling.BOX), np.float64)
