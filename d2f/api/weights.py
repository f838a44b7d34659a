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
    """

    name: str
    sha256: str
    licence: str
    sources: tuple[str, ...]
    description: str = ""
