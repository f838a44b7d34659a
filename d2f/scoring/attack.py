"""Attacks: steps laid over an image before a chain sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from d2f.api.inputs import ImageFile
from d2f.engine.apply import apply_steps
from d2f.engine.loading import load_once
from d2f.engine.plan import Step

if TYPE_CHECKING:
    from d2f.plugins.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Attack:
    """Preprocessors laid over an image, under the name that reports use.

    Parameters
    ----------
    name : str
        The SPEC, every first option spelled out, or a short name for it.
    steps : tuple of Step
        In order, their stages loaded.
    """

    name: str
    steps: tuple[Step, ...]

    @property
    def spec(self) -> str:
        """The SPEC, however it is named."""
        from d2f.engine.spec import format_spec

        return format_spec(self.steps)


def read_attack(spec: str, catalog: Catalog, name: str = "") -> Attack:
    """Read a SPEC such as ``wiener:window=7`` and load its stages; without a name, it goes by its SPEC.

    Raises
    ------
    D2FError
        As `d2f.engine.spec.parse_spec`, and what a stage raises on loading.
    """
    from d2f.engine.spec import format_spec, parse_spec

    steps = parse_spec(spec, catalog, "--attack")
    for step in steps:
        load_once(step.stage)
    return Attack(name or format_spec(steps), steps)


def read_attacks(specs: Sequence[str], catalog: Catalog) -> tuple[Attack, ...]:
    """Read SPECs such as ``wiener:window=7``; one that stands twice, however written, is taken once.

    Raises
    ------
    D2FError
        As `d2f.engine.spec.parse_spec`, and what a stage raises on loading.
    """
    read = [read_attack(spec, catalog) for spec in specs]
    return tuple({attack.name: attack for attack in read}.values())


def lay(attack: Attack, image: ImageFile) -> ImageFile:
    """Return the image under an attack.

    The attack draws its noise from the image's own digest, as `d2f attack` does. The copy has a digest of its own,
    made of the image's and the attack's name, so that a view of the same steps does not draw the same noise again.
    Its `data` stay the image's: no file holds these pixels.

    Raises
    ------
    D2FError
        D2F404 or D2F405 where a step fails.
    """
    pixels = apply_steps(image, attack.steps)
    digest = hashlib.sha256(f"{image.sha256} {attack.name}".encode()).hexdigest()
    return replace(image, pixels=pixels, height=pixels.shape[0], width=pixels.shape[1], sha256=digest)
