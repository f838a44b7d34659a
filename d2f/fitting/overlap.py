"""Images that a detector's weights were trained on are refused: their scores flatter, and a fit would believe them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset
from d2f.data.digest import file_sha256
from d2f.engine.loading import load_stages

if TYPE_CHECKING:
    from d2f.fitting.stand_ins import Dealt


def find_overlap(dealt: Sequence[Dealt], images: Dataset, standing: Collection[str] = ()) -> Iterator[str]:
    """Yield, for each detector whose weights score images that they were trained on, a sentence that says so.

    Weights are loaded. Digests are compared by their first 8 bytes, as weights files hold them.
    A stage says what it was trained on by `trained_on`; one that does not say is taken at its word.

    Parameters
    ----------
    dealt : sequence of Dealt
        Which weights score which images.
    images : Dataset
    standing : collection of str
        Detectors for whose weights others stand in, by id.
    """
    for one in dealt:
        load_stages(one.plan)
    if not any(len(seen(detector.stage)) for one in dealt for detector in one.plan.detectors):
        return
    found = prefixes(images)
    for place, detector in enumerate(dealt[0].plan.detectors):
        shared = [number for one in dealt for number in _shared(one, place, found)]
        if shared:
            first = images[min(shared)].path
            whose = f"'{detector.id}'" + (" and of all that stand in for them" if detector.id in standing else "")
            yield f"{len(shared)} of {len(images)} images trained the weights of {whose}, such as {first}"


def need_no_overlap(dealt: Sequence[Dealt], images: Dataset, standing: Collection[str] = ()) -> None:
    """Raise where weights score images that they were trained on; parameters as of `find_overlap`.

    Raises
    ------
    D2FError
        D2F604, with a sentence for each detector.
    """
    found = tuple(find_overlap(dealt, images, standing))
    if found:
        raise D2FError.of(
            "D2F604",
            found[0],
            *found[1:],
            "fit on images that no weights have seen (`--part chains` of the project's own set), give weights that "
            "did not see them (--stand-ins DETECTOR=DIR), or --allow-overlap",
        )


def prefixes(images: Dataset) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each image's digest, shape (n,), as `seen` lists them."""
    return np.array([_prefix(image.path) for image in images], dtype=np.uint64)


def seen(stage: object) -> NDArray[np.uint64]:
    """Return what a stage says that its weights were trained on, shape (m,); empty where it does not say."""
    stated = getattr(stage, "trained_on", None)
    return np.asarray(() if stated is None else stated, dtype=np.uint64)


def _shared(one: Dealt, place: int, found: NDArray[np.uint64]) -> list[int]:
    numbers = np.asarray(one.numbers)
    shared: list[int] = numbers[np.isin(found[numbers], seen(one.plan.detectors[place].stage))].tolist()
    return shared


def _prefix(path: str) -> int:
    """First 8 bytes of the file's sha256, big-endian; 0 for a file that cannot be read, which is told elsewhere."""
    try:
        return int(file_sha256(path)[:16], 16)
    except OSError:
        return 0
