"""A file that gave no image: what is known of it, and why it was refused."""

from __future__ import annotations

from dataclasses import dataclass

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.rows import Failure


@dataclass(frozen=True, slots=True)
class Unread:
    """What stands in an image's place where a file could not be read.

    Parameters
    ----------
    path : str
        As the user wrote it.
    failure : Failure
        Code D2F301 to D2F306, and why.
    sha256 : str or None
        Digest of the file, where it was read to its end.
    width, height : int or None
        As the file's header states them, in pixels, before any rotation.
    format : str or None
        Pillow's name of the format, where the first bytes give it away.
    """

    path: str
    failure: Failure
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None


class ImageError(D2FError):
    """One file cannot be read as an image; other files are not affected.

    Parameters
    ----------
    unread : Unread
        What is known of the file; kept as an attribute.
    """

    def __init__(self, unread: Unread) -> None:
        self.unread = unread
        failure = unread.failure
        super().__init__(Problem(failure.code, f"{unread.path}: {failure.message}"), Exit.SOME_FAILED)
