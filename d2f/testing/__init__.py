"""What plugin authors test with: ``check_stage(MyDetector)`` and seeded pictures of many kinds.

With pytest the fixtures `d2f_catalog`, `d2f_images` and `d2f_labelled_set` are there as well, see `d2f_pytest`.
"""

from __future__ import annotations

from d2f.testing.kit import check_stage, run_checks
from d2f.testing.pictures import (
    camera_picture,
    flat_pictures,
    hard_pictures,
    image_file,
    ordinary_pictures,
    pictures,
    upsampled_picture,
    write_labelled_set,
)
from d2f.testing.report import Report, Result, catalog_of

__all__ = [
    "Report",
    "Result",
    "camera_picture",
    "catalog_of",
    "check_stage",
    "flat_pictures",
    "hard_pictures",
    "image_file",
    "ordinary_pictures",
    "pictures",
    "run_checks",
    "upsampled_picture",
    "write_labelled_set",
]
