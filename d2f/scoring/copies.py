"""Each image once as it was brought, and once under each attack; decoded once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from d2f.api.errors import D2FError
from d2f.api.inputs import ImageFile
from d2f.api.rows import Failure
from d2f.engine.watch import Observe, Watch
from d2f.reading.unread import Unread
from d2f.scoring.attack import Attack, lay
from d2f.scoring.protocol import Bring

CLEAN = "none"
"""The name of the copy that no attack was laid over."""


def copies(
    images: Iterable[ImageFile | Unread],
    bring: Bring,
    attacks: Sequence[Attack],
    observe: Observe | None = None,
    clean: bool = True,
) -> Iterator[ImageFile | Unread]:
    """Yield ``1 + len(attacks)`` copies of each image: the clean one, then one for each attack, in order.

    An image that could not be read is repeated as it is; an attack that fails costs its own copy. `observe` is told
    of the protocol (kind ``protocol``) and of each attack (kind ``attack``). Without `clean`, that copy is left out.
    """
    watch = Watch(observe)
    for image in images:
        if isinstance(image, Unread):
            yield from [image] * (clean + len(attacks))
            continue
        with watch.timed("protocol", "protocol"):
            brought = bring(image)
        if clean:
            yield brought
        for attack in attacks:
            with watch.timed("attack", attack.name):
                made = _laid(attack, brought)
            yield made


def _laid(attack: Attack, image: ImageFile) -> ImageFile | Unread:
    try:
        return lay(attack, image)
    except D2FError as error:
        problem = error.problems[0]
        return Unread(image.path, Failure(problem.code, problem.message), image.sha256)
