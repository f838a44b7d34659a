"""Images that the weights have seen do not fit a chain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset
from d2f.data.digest import file_sha256
from d2f.engine.loading import load_stages
from d2f.engine.plan import Plan


def find_overlap(plan: Plan, images: Dataset) -> Iterator[str]:
    """Load the plan's stages; yield a sentence for each detector whose weights saw some of the images.

    A stage says what it was trained on by `trained_on`; one that does not say is taken at its word.
    """
    load_stages(plan)
    seen = {detector.id: _trained_on(detector.stage) for detector in plan.detectors}
    if not any(len(known) for known in seen.values()):
        return
    prefixes = np.array([_prefix(image.path) for image in images], dtype=np.uint64)
    for name, known in seen.items():
        shared = np.flatnonzero(np.isin(prefixes, known))
        if len(shared):
            first = images[int(shared[0])].path
            yield f"{len(shared)} of {len(images)} images trained the weights of '{name}', such as {first}"


def need_no_overlap(plan: Plan, images: Dataset) -> None:
    """Raise D2F604 where weights saw some of the images: scores of those flatter, and the fit believes them.

    Raises
    ------
    D2FError
    """
    found = tuple(find_overlap(plan, images))
    if found:
        raise D2FError.of(
            "D2F604",
            found[0],
            *found[1:],
            "fit on images that no weights have seen (`--part chains` of the project's own set), or --allow-overlap",
        )


def _prefix(path: str) -> int:
    """First 8 bytes of the file's sha256, big-endian; 0 for a file that cannot be read, which is told elsewhere."""
    try:
        return int(file_sha256(path)[:16], 16)
    except OSError:
        return 0


def _trained_on(stage: object) -> np.ndarray:
    return np.asarray(getattr(stage, "trained_on", ()), dtype=np.uint64)
