"""Preprocessors: everyday edits (scan, messenger, caption, …), and four that remake a picture's statistics."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Preprocessor, hookimpl


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the stages: nine edits, four ways of remaking a picture's statistics."""
    from d2f_everyday.stages import (
        Camera,
        Caption,
        Enlarge,
        Frame,
        HistogramMatch,
        Messenger,
        Scan,
        Screenshot,
        Sepia,
        Sharpen,
        Shift,
        SpectrumTransfer,
        Thumbnail,
    )

    edits = (Scan, Messenger, Caption, Frame, Screenshot, Enlarge, Thumbnail, Shift, Sepia)
    return [*edits, Camera, SpectrumTransfer, HistogramMatch, Sharpen]
