"""The states of a statement that a file makes about itself, and their declared likelihood ratios."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import log

from d2f import Evidence

TRUSTED = "trusted signer, unchanged"
UNKNOWN_SIGNER = "unchanged, signer not on the list"
CHANGED = "changed since signing (picture or metadata)"
DATE_NOT_CONFIRMED = "signing date not confirmed"
UNREADABLE = "unreadable"
ELSEWHERE = "kept elsewhere, not fetched"
NOT_READ = "not read"
FORGEABLE = "forgeable text"
MARK = "invisible mark"

TRUST = (
    TRUSTED,
    UNKNOWN_SIGNER,
    CHANGED,
    DATE_NOT_CONFIRMED,
    UNREADABLE,
    ELSEWHERE,
    NOT_READ,
    FORGEABLE,
    MARK,
)
"""The states that `Evidence.trust` may have. A file without Content Credentials has no `c2pa` evidence at all."""

SIGNED_GENERATED = {TRUSTED: log(1000.0), UNKNOWN_SIGNER: log(10.0), DATE_NOT_CONFIRMED: log(3.0)}
"""Declared log-likelihood ratio of a signed statement that AI generated the picture; 0 in every other state."""

SIGNED_CAMERA = {TRUSTED: -log(100.0)}
"""The same of a signed statement that a camera took the picture and nothing generative followed."""

FORGEABLE_GENERATED = log(3.0)
"""The same of a text that anybody can write or remove."""

MARK_GENERATED = log(300.0)
"""The same of an invisible mark of a generator."""

RAW_CHARACTERS = 600


def bounded(text: str, characters: int = RAW_CHARACTERS) -> str:
    """Return printable text of at most `characters`, its end replaced by an ellipsis where it is longer."""
    short = text if len(text) <= characters else text[: characters - 1] + "…"
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in short)


def in_line(text: str, characters: int = 80) -> str:
    """Return text for use inside a sentence: one line, printable, bounded."""
    return bounded(" ".join(text[: 4 * characters].split()), characters)


def count_once(found: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Leave the likelihood ratio of the strongest statement in each direction, and set the others to 0.

    Statements of one file are not independent: whoever writes one writes the next. The sum over what is
    returned is therefore what the file's statements count together.
    """
    evidence = tuple(found)
    highest = max((item.llr for item in evidence), default=0.0)
    lowest = min((item.llr for item in evidence), default=0.0)
    counted = []
    for item in evidence:
        if item.llr > 0.0 and item.llr == highest:
            counted.append(item)
            highest = float("inf")
        elif item.llr < 0.0 and item.llr == lowest:
            counted.append(item)
            lowest = float("-inf")
        else:
            counted.append(replace(item, llr=0.0))
    return tuple(counted)
