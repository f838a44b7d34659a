"""A labelled set scored: `score_table` runs a plan over every copy of every image, each once, by way of the cache."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import nan
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import FileBytes, Floats, ImageFile, Labels
from d2f.api.outcomes import Abstention
from d2f.api.rows import Failure
from d2f.cache import Cache, key_of, pipeline_code
from d2f.data.dataset import Dataset
from d2f.data.groups import components
from d2f.data.protocol import Standardise
from d2f.engine.findings import Observe, Watch, load_once, load_stages
from d2f.engine.local import score_images
from d2f.engine.plan import PLAIN, BoundDetector, Plan, Scored, Step
from d2f.engine.prefetch import prefetch
from d2f.engine.views import view_tree
from d2f.evaluate.attacks import CLEAN, Attack, attacked
from d2f.files import file_sha256
from d2f.images.read import Unread

Tick: TypeAlias = Callable[[], None] | None


@dataclass(frozen=True)
class ScoreTable:
    """Scores of a labelled set; NaN where a member abstained or failed, or a precondition refused the copy."""

    images: Dataset
    sha256: tuple[str, ...]
    copies: tuple[str, ...]
    members: tuple[str, ...]
    scores: Floats  # (images, copies, members), float64
    unread: tuple[tuple[str, Failure], ...] = ()
    failed: tuple[tuple[str, str, Failure], ...] = ()
    oof_weights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: NDArray[np.bool_] | None = None  # (images, copies), where a precondition of the plan failed
    cached: int = 0
    changed: Floats | None = None  # (images, small changes, members), float64, of the clean copies
    turned: NDArray[np.bool_] | None = None  # (images, copies), where a small change turns the chain's verdict

    @property
    def labels(self) -> Labels:
        """Labels of the images, shape (images,)."""
        return self.images.labels

    @property
    def components(self) -> NDArray[np.int64]:
        """Components of the images, shape (images,); files of the same bytes are in one."""
        return components(self.images, self.sha256)

    def flat(self) -> Floats:
        """Scores of shape (images * copies, members): all copies of an image are adjacent."""
        return self.scores.reshape(-1, len(self.members))

    def columns(self, places: Sequence[int]) -> ScoreTable:
        """Return the table of some members."""
        names = tuple(self.members[place] for place in places)
        failed = tuple(one for one in self.failed if one[1] not in self.members or one[1] in names)
        changed = None if self.changed is None else self.changed[:, :, list(places)]
        return replace(self, members=names, scores=self.scores[:, :, list(places)], failed=failed, changed=changed)

    def without_changes(self, count: int) -> ScoreTable:
        """Return the table whose last `count` copies are the small changes."""
        if not count:
            return self
        kept = len(self.copies) - count
        names, refused = self.copies[:kept], None if self.refused is None else self.refused[:, :kept]
        failed = tuple(one for one in self.failed if one[1] not in self.copies[kept:])
        scores, changed = self.scores[:, :kept], self.scores[:, kept:]
        return replace(self, copies=names, scores=scores, failed=failed, refused=refused, changed=changed)


class Assignment(NamedTuple):
    """Images of a set, by number, and the plan that scores them."""

    plan: Plan
    numbers: tuple[int, ...]


def score_table(
    plan: Plan,
    images: Dataset,
    standardise: Standardise,
    attacks: Sequence[Attack] = (),
    *,
    assigned: Sequence[Assignment] = (),
    cache: Cache | None = None,
    workers: int | None = None,
    tick: Tick = None,
    observe: Observe | None = None,
) -> ScoreTable:
    """Score a set clean and under each attack; what the cache holds is read back.

    `assigned` plans, of the same members, score their images in the place of `plan`. A score is read back where image,
    protocol, attack, view, detector, options, weights, precision, code and versions are the same. Abstentions are
    stored with their reason; errors are not. Preconditions (`plan.require`) are members that end as `refused`.
    """
    given = assigned or (Assignment(plan, tuple(range(len(images)))),)
    whole = with_checks(plan)
    collector = Collector(images, (CLEAN, *(attack.name for attack in attacks)), whole.member_names)
    for one in given:
        filling = _Filling(collector, with_checks(one.plan), standardise, attacks, cache)
        filling.run(one.numbers, workers=workers, tick=tick, observe=observe)
    table = collector.table()
    return without_checks(table, len(plan.members))


class _PreconditionScore:
    """A precondition asked as a detector is: 1 where it refuses a file, 0 where it does not."""

    wants = FileBytes()

    def __init__(self, check: Any) -> None:
        self._check = check
        self.name = check.name
        self.__module__ = type(check).__module__  # whose code it runs, for keys
        self.thread_safe = bool(getattr(check, "thread_safe", False))

    def load(self) -> None:
        load_once(self._check)

    def score(self, batch: Sequence[ImageFile]) -> list[float]:
        return [float(isinstance(self._check.check(image), Abstention)) for image in batch]


def with_checks(plan: Plan) -> Plan:
    """Return a plan whose preconditions are detectors behind the others, so that they are cached as those are."""
    bound = tuple(
        BoundDetector(f"require-{place}", _PreconditionScore(check.stage), (PLAIN,), f"require {check.key}")  # type: ignore[arg-type]
        for place, check in enumerate(plan.require)
    )
    return replace(plan, detectors=(*plan.detectors, *bound), require=(), evidence=())


def without_checks(table: ScoreTable, members: int) -> ScoreTable:
    """Turn the columns of preconditions into `refused`, and the scores of refused copies into NaN."""
    refused = (table.scores[:, :, members:] == 1.0).any(axis=2)
    scores = np.where(refused[:, :, None], np.nan, table.scores[:, :, :members])
    return replace(table, members=table.members[:members], scores=scores, refused=refused)


class Collector:
    """A table that is being filled; unread and failed images are listed in the set's order."""

    def __init__(self, images: Dataset, names: Sequence[str], members: Sequence[str]) -> None:
        self.images, self.names, self.members = images, tuple(names), tuple(members)
        self.scores = np.full((len(images), len(names), len(members)), np.nan)
        self.sha256: list[str | None] = [None] * len(images)
        self.cached = 0
        self._unread: dict[int, tuple[str, Failure]] = {}
        self._failed: dict[tuple[int, int, int], tuple[str, str, Failure]] = {}

    def add(self, number: int, copy: int, scored: Scored, columns: Sequence[int]) -> None:
        """Enter the scores of one copy."""
        if copy == 0:
            if scored.failure:
                self._unread[number] = (scored.path, scored.failure)
                return
            self.sha256[number] = scored.sha256
        if scored.failure:
            self._failed[number, copy, -1] = (scored.path, self.names[copy], scored.failure)
            return
        self.scores[number, copy, list(columns)] = scored.scores
        for column, member in zip(columns, scored.members, strict=True):
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
        return ScoreTable(
            kept, digests, self.names, self.members, self.scores[read], tuple(unread), failed, cached=self.cached
        )


Part: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Copies and columns that are scored together."""


class _Filling:
    """One plan's part of a table: from the cache where a score is known, else from the engine."""

    def __init__(
        self,
        collector: Collector,
        plan: Plan,
        standardise: Standardise,
        attacks: Sequence[Attack],
        cache: Cache | None,
    ) -> None:
        self._collector, self._plan, self._standardise, self._attacks = collector, plan, standardise, attacks
        self._cache = cache
        silent = view_tree(plan, load_stages(plan))[1]
        self._every = tuple(range(len(collector.members)))
        self._speaking = tuple(column for column in self._every if column not in silent)
        self._keys = score_keys(plan, standardise, attacks) if cache is not None else {}

    def run(self, numbers: Sequence[int], *, workers: int | None, tick: Tick, observe: Observe | None) -> None:
        """Score images, given by their numbers; `tick` is called once for each."""
        parts = {number: self._missing(number) for number in numbers}
        waits = Counter({number: max(1, len(left)) for number, left in parts.items()})

        def done(number: int) -> None:
            waits[number] -= 1
            if tick is not None and not waits[number]:
                tick()

        by_part: dict[Part, list[int]] = defaultdict(list)
        for number, left in parts.items():
            for part in left:
                by_part[part].append(number)
            if not left:
                self._collector.cached += 1
                done(number)
        for (copies, columns), waiting in by_part.items():
            plan = self._plan if columns == self._every else self._plan.part(columns)
            chosen = [self._attacks[copy - 1] for copy in copies if copy]
            some = self._collector.images.select(waiting)
            groups = score_groups(
                plan, some, self._standardise, chosen, workers=workers, observe=observe, clean=0 in copies
            )
            for number, group in zip(waiting, groups, strict=True):
                self._take(number, (copies, columns), group)
                done(number)

    def _missing(self, number: int) -> list[Part]:
        """Enter the cached scores of an image; return the parts that are not cached."""
        copies = tuple(range(len(self._collector.names)))
        if self._cache is None:
            return [(copies, self._every)]
        try:
            sha256 = file_sha256(self._collector.images[number].path)
        except OSError:
            return [(copies, self._every)]
        places = {_row_key(sha256, key): place for place, key in self._keys.items() if place[1] in self._speaking}
        known = {places[key]: value for key, value in self._cache.read(list(places)).items()}
        if known:
            self._collector.sha256[number] = sha256
        for (copy, column), value in known.items():
            self._collector.scores[number, copy, column] = struct.unpack("<d", value)[0] if len(value) == 8 else nan
        missing: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for copy in copies:
            columns = tuple(column for column in self._speaking if (copy, column) not in known)
            # Where no member has its weights, the image must be read all the same.
            if columns or not self._speaking:
                missing[columns or self._every].append(copy)
        return [(tuple(listed), columns) for columns, listed in missing.items()]

    def _take(self, number: int, part: Part, group: Sequence[Scored]) -> None:
        """Enter the scores of an image, and store them: all of them or, where the process is killed, none."""
        copies, columns = part
        rows: dict[bytes, bytes] = {}
        for copy, scored in zip(copies, group, strict=True):
            self._collector.add(number, copy, scored, columns)
            sha256 = self._collector.sha256[number]
            # A copy that failed has no members.
            for column, member in zip(columns, scored.members, strict=False):
                key = self._keys.get((copy, column))
                if key is not None and sha256 is not None and member.error is None and column in self._speaking:
                    reason = f"abstained: {member.abstained}".encode()
                    rows[_row_key(sha256, key)] = reason if member.score is None else struct.pack("<d", member.score)
        if self._cache is not None and rows:
            self._cache.write(rows)


def _row_key(sha256: str, key: bytes) -> bytes:
    """The image first, so that its rows are adjacent in the file."""
    return bytes.fromhex(sha256)[:16] + key


def score_keys(plan: Plan, standardise: Standardise, attacks: Sequence[Attack]) -> dict[tuple[int, int], bytes]:
    """Return the key of each (copy, member) but for the image; what has no identity or no code has none."""
    steps: list[tuple[str, Sequence[Step]]] = [(CLEAN, ()), *((attack.name, attack.steps) for attack in attacks)]
    keys: dict[tuple[int, int], bytes] = {}
    stages = {detector.id: detector for detector in plan.detectors}
    for column, (name, view) in enumerate(plan.members):
        detector = stages[name]
        looks = plan.views.get(view, ())
        for copy, (called, applied) in enumerate(steps):
            # The attack's name as well: the copy's digest, and so the seeds of views, are made of it.
            facts = [standardise.key, called, [step.key for step in applied], [step.key for step in looks]]
            precision = str(getattr(detector.stage, "precision", ""))
            code = [detector.stage, *standardise.code, *(step.stage for step in (*looks, *applied))]
            key = key_of("score", pipeline_code(), facts, detector.key, precision, code=code)
            if key is not None and detector.key:
                keys[copy, column] = key
    return keys


def score_groups(
    plan: Plan,
    images: Dataset,
    standardise: Standardise,
    attacks: Sequence[Attack] = (),
    *,
    workers: int | None = None,
    observe: Observe | None = None,
    clean: bool = True,
) -> Iterator[list[Scored]]:
    """Yield, image by image, the scores of its copies: the clean one first (unless left out), then each attack's."""
    files = prefetch((image.path for image in images), workers=workers, observe=observe)
    every = score_images(plan, copies_of(files, standardise, attacks, observe, clean), workers=workers, observe=observe)
    while group := list(islice(every, clean + len(attacks))):
        yield group


def copies_of(
    images: Iterable[ImageFile | Unread],
    standardise: Standardise,
    attacks: Sequence[Attack],
    observe: Observe | None = None,
    clean: bool = True,
) -> Iterator[ImageFile | Unread]:
    """Yield ``1 + len(attacks)`` copies of each image: the clean one, then one for each attack, in order.

    An image that could not be read is repeated as it is; an attack that fails costs its own copy. `observe` receives
    the protocol (kind ``protocol``) and of each attack (kind ``attack``). Without `clean`, that copy is left out.
    """
    watch = Watch(observe)
    for image in images:
        if isinstance(image, Unread):
            yield from [image] * (clean + len(attacks))
            continue
        with watch.timed("protocol", "protocol"):
            standard = standardise(image)
        if clean:
            yield standard
        for attack in attacks:
            made: ImageFile | Unread
            with watch.timed("attack", attack.name):
                try:
                    made = attacked(attack, standard)
                except D2FError as error:
                    failure = Failure(error.problems[0].code, error.problems[0].message)
                    made = Unread(standard.path, failure, standard.sha256)
            yield made
