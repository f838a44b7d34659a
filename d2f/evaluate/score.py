"""A set scored: the engine over every copy of every image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, ImageFile, Labels, ProtocolName
from d2f.api.rows import Failure
from d2f.data.dataset import Dataset
from d2f.data.groups import components
from d2f.data.protocol import Bring
from d2f.engine.findings import Observe, Watch
from d2f.engine.loading import load_once
from d2f.engine.local import score_images
from d2f.engine.plan import Plan, Scored, Step
from d2f.engine.prefetch import prefetch
from d2f.engine.views import apply_steps
from d2f.images.read import Unread

if TYPE_CHECKING:
    from d2f.plugins.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Attack:
    """Preprocessors laid over an image, under the name that reports use."""

    name: str
    steps: tuple[Step, ...]

    @property
    def spec(self) -> str:
        """The SPEC, however it is named."""
        from d2f.engine.spec import format_spec

        return format_spec(self.steps)


def read_attack(spec: str, catalog: Catalog, name: str = "") -> Attack:
    """Read a SPEC such as ``wiener:window=7`` and load its stages; without a name, it goes by its SPEC."""
    from d2f.engine.spec import format_spec, parse_spec

    steps = parse_spec(spec, catalog, "--attack")
    for step in steps:
        load_once(step.stage)
    return Attack(name or format_spec(steps), steps)


def read_attacks(specs: Sequence[str], catalog: Catalog) -> tuple[Attack, ...]:
    """Read SPECs such as ``wiener:window=7``; one that stands twice, however written, is taken once."""
    read = [read_attack(spec, catalog) for spec in specs]
    return tuple({attack.name: attack for attack in read}.values())


def lay(attack: Attack, image: ImageFile) -> ImageFile:
    """Return the image under an attack.

    The attack draws its noise from the image's own digest, as `d2f attack` does. The copy has a digest of its own,
    made of the image's and the attack's name, so that a view of the same steps does not draw the same noise again.
    Its `data` stay the image's: no file holds these pixels.
    """
    pixels = apply_steps(image, attack.steps)
    digest = hashlib.sha256(f"{image.sha256} {attack.name}".encode()).hexdigest()
    return replace(image, pixels=pixels, height=pixels.shape[0], width=pixels.shape[1], sha256=digest)


def fitting_key(protocol: ProtocolName, seed: int) -> str:
    """Return what tells one way of bringing images for a fit from another; as found, no seed is drawn from."""
    return protocol if protocol == "as-found" else f"{protocol}, fitting, seed {seed}"


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


@dataclass(frozen=True)
class ScoreTable:
    """Scores of a labelled set."""

    images: Dataset
    sha256: tuple[str, ...]
    copies: tuple[str, ...]
    members: tuple[str, ...]
    scores: Floats  # (images, copies, members), float64
    unread: tuple[tuple[str, Failure], ...] = ()
    failed: tuple[tuple[str, str, Failure], ...] = ()
    oof_weights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def labels(self) -> Labels:
        """Labels of the images, shape (images,)."""
        return self.images.labels

    @property
    def components(self) -> NDArray[np.int64]:
        """Components of the images, shape (images,)."""
        return components(self.images)

    def flat(self) -> Floats:
        """Scores of shape (images * copies, members): all copies of an image stand together."""
        return self.scores.reshape(-1, len(self.members))

    def repeated(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return what belongs to images, shape (images,), for each row of `flat`."""
        return np.repeat(values, len(self.copies))

    def select(self, keep: NDArray[np.bool_]) -> ScoreTable:
        """Return the table of the images where a mask of shape (images,) holds."""
        sha256 = tuple(digest for digest, kept in zip(self.sha256, keep, strict=True) if kept)
        return replace(self, images=self.images.select(keep), sha256=sha256, scores=self.scores[keep])


class Collector:
    """A table that is being filled; what was read and what failed is told in the set's order."""

    def __init__(self, images: Dataset, names: Sequence[str], members: Sequence[str]) -> None:
        self.images, self.names, self.members = images, tuple(names), tuple(members)
        self.scores = np.full((len(images), len(names), len(members)), np.nan)
        self.sha256: list[str | None] = [None] * len(images)
        self._unread: dict[int, tuple[str, Failure]] = {}
        self._failed: dict[tuple[int, int, int], tuple[str, str, Failure]] = {}

    def read(self, number: int, sha256: str | None) -> None:
        """Say that an image was read, now or earlier."""
        self.sha256[number] = sha256

    def add(self, number: int, copy: int, scored: Scored, columns: Sequence[int] | None = None) -> None:
        """Put in what was found of one copy."""
        if copy == 0:
            if scored.failure:
                self._unread[number] = (scored.path, scored.failure)
                return
            self.read(number, scored.sha256)
        if scored.failure:
            self._failed[number, copy, -1] = (scored.path, self.names[copy], scored.failure)
            return
        places = range(len(self.members)) if columns is None else columns
        self.scores[number, copy, list(places)] = scored.scores
        for column, member in zip(places, scored.members, strict=True):
            if member.error:
                self._failed[number, copy, column] = (scored.path, member.name, member.error)

    def table(self) -> ScoreTable:
        """Return the table of the images that could be read."""
        read = np.array([digest is not None for digest in self.sha256], dtype=bool)
        unread = [self._unread[number] for number in sorted(self._unread)]
        if not read.any():
            reasons = (f"{path}: {failure.code} {failure.message}" for path, failure in unread[:1])
            raise D2FError.of("D2F601", f"none of the {len(self.images)} images could be read", *reasons)
        digests = tuple(digest for digest in self.sha256 if digest is not None)
        failed = tuple(
            self._failed[place] for place in sorted(self._failed) if place[0] not in self._unread and read[place[0]]
        )
        kept = self.images.select(read)
        return ScoreTable(kept, digests, self.names, self.members, self.scores[read], tuple(unread), failed)


def fill(
    collector: Collector,
    numbers: Sequence[int],
    plan: Plan,
    bring: Bring,
    attacks: Sequence[Attack] = (),
    *,
    workers: int | None = None,
    tick: Callable[[], None] | None = None,
) -> None:
    """Score images of a set, as they were brought and under each attack, into a collector."""
    some = collector.images.select(list(numbers))
    groups = score_groups(plan, some, bring, attacks, workers=workers, tick=tick)
    for number, group in zip(numbers, groups, strict=True):
        put(collector, number, group)


def put(collector: Collector, number: int, group: Sequence[Scored]) -> None:
    """Put the copies of one image, the clean one first, into a collector."""
    for copy, scored in enumerate(group):
        collector.add(number, copy, scored)


def score_groups(
    plan: Plan,
    images: Dataset,
    bring: Bring,
    attacks: Sequence[Attack] = (),
    *,
    workers: int | None = None,
    tick: Callable[[], None] | None = None,
    observe: Observe | None = None,
    clean: bool = True,
) -> Iterator[list[Scored]]:
    """Yield, image by image, the scores of its copies: the clean one first, then one for each attack.

    Parameters are those of `fill`; `observe` is told of every stage, and of protocol and attacks. Without
    `clean`, that copy is left out.
    """
    files = prefetch((image.path for image in images), workers=workers, observe=observe)
    every = score_images(plan, copies(files, bring, attacks, observe, clean), workers=workers, observe=observe)
    for group in _groups(every, clean + len(attacks)):
        yield group
        if tick is not None:
            tick()


def collect(
    images: Dataset, names: Sequence[str], members: Sequence[str], groups: Iterable[tuple[int, Sequence[Scored]]]
) -> ScoreTable:
    """Put scores into a table."""
    collector = Collector(images, names, members)
    for number, group in groups:
        put(collector, number, group)
    return collector.table()


def _groups(scored: Iterator[Scored], size: int) -> Iterator[list[Scored]]:
    while group := list(islice(scored, size)):
        yield group
