"""Attacks: steps laid over an image before a chain sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.inputs import ImageFile
from d2f.engine.plan import Step
from d2f.engine.seeds import step_seed

if TYPE_CHECKING:
    from d2f.plugins.catalog import Catalog

ATTACK_PLACE = 1_000_000
"""Added to a step's place in its seed, so that an attack never repeats the noise of a view."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Preprocessors laid over an image, under the name that reports use.

    Parameters
    ----------
    name : str
        The SPEC, every first option spelled out.
    steps : tuple of Step
        In order.
    """

    name: str
    steps: tuple[Step, ...]


def read_attacks(specs: Sequence[str], catalog: Catalog) -> tuple[Attack, ...]:
    """Read SPECs such as ``wiener:window=7``; one that stands twice, however written, is taken once.

    Raises
    ------
    D2FError
        As `d2f.engine.spec.parse_spec`.
    """
    from d2f.engine.spec import format_spec, parse_spec

    read = [parse_spec(spec, catalog, "--attack") for spec in specs]
    return tuple(Attack(name, steps) for name, steps in {format_spec(steps): steps for steps in read}.items())


def lay(attack: Attack, image: ImageFile) -> ImageFile:
    """Return the image with the attack's pixels; `data` and `sha256` stay, for no file holds these pixels.

    Raises
    ------
    D2FError
        D2F404 where a step raises.
    """
    pixels = image.pixels
    for place, step in enumerate(attack.steps):
        seed = step_seed(image.seed, ATTACK_PLACE + place, step.key)
        try:
            pixels = np.ascontiguousarray(step.stage.apply(pixels, seed))
        except Exception as error:
            raise D2FError.of("D2F404", f"attack '{attack.name}' on {image.path}: {error}") from error
    return replace(image, pixels=pixels, height=pixels.shape[0], width=pixels.shape[1])
