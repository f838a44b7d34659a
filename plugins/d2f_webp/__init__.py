"""The preprocessor `webp`: recompression as WebP."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Preprocessor, hookimpl


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    from d2f_webp.stage import Webp

    return [Webp]
