"""Where an image belongs in a labelled folder."""

from __future__ import annotations

from pathlib import PurePath

from d2f.data.dataset import GENERATED, Labelled

UNNAMED = "unnamed"


def labelled_path(image: Labelled, name: str) -> PurePath:
    """Return ``real/SOURCE/name`` or ``generated/GENERATOR/SOURCE/name``, as `d2f.data.layout` reads them.

    Names are such that every file system takes them and none climbs out of the folder.

    >>> labelled_path(Labelled("a.png", 1, "FLUX.1 [dev]", "../web"), "7.png").as_posix()
    'generated/FLUX.1 _dev_/_web/7.png'
    """
    above = ["generated", image.generator or UNNAMED] if image.label == GENERATED else ["real"]
    return PurePath(*map(_file_name, [*above, image.source or UNNAMED, name]))


def _file_name(name: str) -> str:
    safe = "".join(letter if letter.isalnum() or letter in " ._-+()" else "_" for letter in name).strip(" .")
    return safe[:100] or UNNAMED
