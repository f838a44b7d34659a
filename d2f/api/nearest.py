"""What somebody who misspelt a name probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of `words` that is most like `word`, None where none is.

    >>> nearest("windw", ["window", "noise"])
    'window'
    """
    # Imported here: only a mistake needs it.
    from difflib import get_close_matches

    found = get_close_matches(word, list(words), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, words: Iterable[str]) -> tuple[str, ...]:
    """Return the note ``did you mean '…'?``, or nothing, as a tuple to put among a problem's notes."""
    near = nearest(word, words)
    return (f"did you mean '{near}'?",) if near is not None else ()
