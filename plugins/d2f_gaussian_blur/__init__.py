"""The preprocessor `gaussian-blur`: Gaussian low-pass of a given standard deviation."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Preprocessor, hookimpl


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    from d2f_gaussian_blur.stage import GaussianBlur

    return [GaussianBlur]
