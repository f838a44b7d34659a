"""The preprocessor `jpeg`: recompression at a quality and chroma subsampling."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Preprocessor, hookimpl


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    from d2f_jpeg.stage import Jpeg

    return [Jpeg]
