"""Attacks: preprocessors applied to a labelled set before the system sees it, and the grids of the bench."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from d2f.api.errors import D2FError
from d2f.api.inputs import ImageFile
from d2f.engine.findings import load_once
from d2f.engine.plan import Step
from d2f.engine.views import apply_steps

if TYPE_CHECKING:
    from d2f.plugins.catalog import Catalog

CLEAN = "none"
"""The name of the copy that no attack was applied to."""

EVERYDAY = {
    "grey": "greyscale+jpeg:quality=90",
    "scan": "scan:tilt=0.7",
    "messenger": "messenger:quality=60",
    "enlarge-4": "enlarge:factor=4",
    "thumbnail-160": "thumbnail:longest=160",
    "caption": "caption:at=inside+jpeg:quality=75",
    "shift": "shift:pixels=1",
}
"""Everyday edits between a picture's making and its judging; every one was seen to mislead detectors."""

GridName: TypeAlias = Literal["core", "full", "none"]
CORE = {
    "wiener-7": "wiener:window=7",
    "wiener-7+noise-2": "wiener:window=7+noise:sigma=2",
    "noise-5": "noise:sigma=5",
    "jpeg-60": "jpeg:quality=60",
    "webp-80": "webp:quality=80",
    "resize-0.5": "resize:factor=0.5,back=true",
    "gaussian-blur-1": "gaussian-blur:sigma=1",
    "hard": "resize:factor=0.7+resize:longest=512+jpeg:quality=40",
    **EVERYDAY,
}
"""The grid that decides targets, besides the clean images; SPECs by short name. A line here adds an attack.

It needs a row in docs/reference/bench.md and its name in tests/unit/evaluate/test_attacks.py;
docs/reference/measured.md shows it when `docs/make_measured.py` has run again.

`hard` and `web` scale and compress as an upload does. Their cap on the longest side takes effect on images larger
than the window of `crop` only.
"""

FULL = {
    **CORE,
    "wiener-3": "wiener:window=3",
    "wiener-5": "wiener:window=5",
    "median-3": "median:window=3",
    "median-5": "median:window=5",
    "gaussian-blur-0.5": "gaussian-blur:sigma=0.5",
    "gaussian-blur-2": "gaussian-blur:sigma=2",
    "noise-2": "noise:sigma=2",
    "noise-10": "noise:sigma=10",
    "jpeg-95": "jpeg:quality=95",
    "jpeg-85": "jpeg:quality=85",
    "jpeg-75": "jpeg:quality=75",
    "jpeg-40": "jpeg:quality=40",
    "resize-0.75": "resize:factor=0.75,back=true",
    "resize-1.25": "resize:factor=1.25,back=true",
    "crop": "crop:fraction=0.8",
    "web": "resize:factor=0.8+resize:longest=768+jpeg:quality=60",
    "thumbnail-128": "resize:longest=128,back=true",
    "greyscale": "greyscale",
}
"""The grid for publication."""

GRIDS: dict[str, dict[str, str]] = {"none": {}, "core": CORE, "full": FULL}
OPTIONAL = {"autoencoder": "autoencoder"}
"""Attacks of the grids that need weights of their own: a row where those are present, and never the worst attack."""

FITTING = (
    "wiener:window=7",
    "wiener:window=7+noise:sigma=2",
    "jpeg:quality=60",
    "webp:quality=80",
    "resize:factor=0.5,back=true",
    "gaussian-blur:sigma=1",
    "noise:sigma=5",
    *EVERYDAY.values(),
)
"""Attacked copies that a fit adds by default: common edits, and those that were seen to reverse detectors."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Preprocessors applied to an image, under the name that reports use."""

    name: str
    steps: tuple[Step, ...]

    @property
    def spec(self) -> str:
        """The SPEC, however the attack is named."""
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
    """Read SPECs such as ``wiener:window=7``; one that is given twice, however written, is taken once."""
    read = [read_attack(spec, catalog) for spec in specs]
    return tuple({attack.name: attack for attack in read}.values())


def attacked(attack: Attack, image: ImageFile) -> ImageFile:
    """Return the image under an attack.

    The attack draws its noise from the image's own digest, as `d2f attack` does. The copy has a digest of its own,
    made of the image's and the attack's name, so that a view of the same steps does not draw the same noise again.
    Its `data` stay the image's: no file holds these pixels.
    """
    pixels = apply_steps(image, attack.steps)
    digest = hashlib.sha256(f"{image.sha256} {attack.name}".encode()).hexdigest()
    return replace(image, pixels=pixels, height=pixels.shape[0], width=pixels.shape[1], sha256=digest)


@dataclass(frozen=True)
class AttackSet:
    """The attacks of one bench; those of `optional` are never its worst."""

    attacks: tuple[Attack, ...]
    optional: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def described(self) -> Iterator[dict[str, Any]]:
        """Yield each attack as plain data, the clean copy first."""
        yield {"name": CLEAN, "spec": "", "optional": False}
        for attack in self.attacks:
            yield {"name": attack.name, "spec": attack.spec, "optional": attack.name in self.optional}


def attack_set(grid: GridName, specs: Sequence[str], catalog: Catalog) -> AttackSet:
    """Return a grid's attacks and then the user's own, each once, however written."""
    named = [read_attack(spec, catalog, name) for name, spec in GRIDS[grid].items()]
    optional: list[Attack] = []
    notes: list[str] = []
    for name, spec in OPTIONAL.items() if grid != "none" else ():
        if name in catalog.names("preprocessor"):
            try:
                optional.append(read_attack(spec, catalog, name))
            except D2FError as error:
                problem = error.problems[0]
                notes.append(f"no row for '{name}': {'; '.join((problem.message, *problem.notes[-1:]))}")
    taken: dict[str, Attack] = {}
    for attack in (*named, *optional, *(read_attack(spec, catalog) for spec in specs)):
        taken.setdefault(attack.spec, attack)
    return AttackSet(tuple(taken.values()), frozenset(attack.name for attack in optional), tuple(notes))
