"""Images that a system has seen before: its weights were trained on them, or the chain was fitted to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of

if TYPE_CHECKING:
    from d2f.chain.chain import Chain


def trained_on(stage: object) -> NDArray[np.uint64]:
    """Return the images that a stage states to be trained on: first 8 bytes of their digests, shape (m,)."""
    stated = getattr(stage, "trained_on", None)
    return np.asarray(() if stated is None else stated, dtype=np.uint64)


def prefixes(sha256: Iterable[str]) -> NDArray[np.uint64]:
    """Return the first 8 bytes of digests, big-endian, shape (n,), as weights files list them; 0 for an empty one."""
    return np.array([int(digest[:16] or "0", 16) for digest in sha256], dtype=np.uint64)


def seen_notes(chain: Chain, images: Dataset, sha256: Sequence[str], whole: str = "") -> Iterator[str]:
    """Yield a sentence for each way in which figures on these images are optimistic; the chain's stages are loaded.

    `whole` is the digest of the set that the images were taken from.
    """
    found = prefixes(sha256)
    for detector in chain.plan.detectors:
        known = np.isin(found, trained_on(detector.stage))
        if known.any():
            first = images[int(np.argmax(known))].path
            yield (
                f"{int(known.sum())} of {len(images)} images trained the weights of '{detector.id}' of chain "
                f"'{chain.name}', such as {first}: its figures are optimistic"
            )
    fitted = chain.file.fitted
    if fitted is None:
        return
    digests = dict(_digests(images, sha256))
    if whole:
        digests.setdefault(whole, "the set that these images were taken from")
    if fitted.data in digests:
        yield f"chain '{chain.name}' was fitted to {digests[fitted.data]}: its figures are optimistic"
    if fitted.thresholds is not None and fitted.thresholds.data in digests:
        what = digests[fitted.thresholds.data]
        yield f"the thresholds of chain '{chain.name}' were fitted to {what}: its rates are optimistic"


def _digests(images: Dataset, sha256: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the digests of the set and of the two parts of the project's split, with what they are."""
    from d2f.data.split import shipped_split

    digest = {image.path: sha for image, sha in zip(images, sha256, strict=True)}
    split = shipped_split(images)
    parts = (("these images", images), ("some of these images", split.chains), ("some of these images", split.weights))
    for words, part in reversed(parts):
        if len(part):
            yield digest_of((digest[image.path], image.label) for image in part), words
