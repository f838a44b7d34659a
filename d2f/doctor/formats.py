"""Which image formats can be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from d2f.doctor.finding import Finding

FEATURES = {"JPEG": "jpg", "WebP": "webp", "AVIF": "avif", "TIFF": "libtiff", "ICC profiles": "littlecms2"}


def formats() -> Iterator[Finding]:
    """Yield Pillow's version and what it was built with, and whether HEIC can be read."""
    from PIL import __version__ as pillow
    from PIL import features

    yield Finding("images", "Pillow", pillow)
    missing = [name for name, feature in FEATURES.items() if not features.check(feature)]
    if missing:
        yield Finding("images", "formats", f"without {', '.join(missing)}", "warning", "pip install --upgrade pillow")
    else:
        yield Finding("images", "formats", ", ".join(FEATURES))
    try:
        yield Finding("images", "HEIC", f"pillow-heif {version('pillow-heif')}")
    except PackageNotFoundError:
        yield Finding("images", "HEIC", "not readable", "warning", "pip install pillow-heif")
