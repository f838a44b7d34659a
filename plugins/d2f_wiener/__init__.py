"""The preprocessor `wiener`: MATLAB's wiener2 on each channel alone."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Preprocessor, hookimpl


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    from d2f_wiener.stage import Wiener

    return [Wiener]
