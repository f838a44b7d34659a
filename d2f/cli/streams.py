"""The process's own streams, made fit for whatever a command prints."""

from __future__ import annotations

import io
import os
import sys


def fit_streams() -> None:
    """Open what was closed, and let a question mark stand for a letter that their encoding lacks (as `ls` does).

    A stream that the caller has closed (``>&-``) is None; whatever file is opened next would get its number, and what
    libraries print to that number would land in that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # In the order of their numbers: each takes the lowest that is free, its own.
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
