"""A preprocessor laid over pixels, and what it returned made sure of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from d2f.api.arrays import Pixels
from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import ImageFile
from d2f.api.rows import Failure
from d2f.engine.findings import STAGE_ERRORS, said
from d2f.engine.plan import Step
from d2f.engine.seeds import step_seed


def apply_steps(image: ImageFile, steps: Sequence[Step]) -> Pixels:
    """Lay a list of preprocessors over an image, as a view of a chain would.

    Parameters
    ----------
    image : ImageFile
    steps : sequence of Step
        Their stages loaded.

    Returns
    -------
    numpy.ndarray, shape (height, width, 3), uint8
        Not to be written to; for no steps the image's own pixels.

    Raises
    ------
    D2FError
        D2F404 or D2F405, exit code 1: a preprocessor raised, or returned something that is not a view.
    """
    pixels = read_only(image.pixels)
    for place, step in enumerate(steps):
        made = apply_step(step, place, pixels, image.seed)
        if isinstance(made, Failure):
            raise D2FError(Problem(made.code, f"{image.path}: {made.message}"), Exit.SOME_FAILED)
        pixels = made
    return pixels


def apply_step(step: Step, place: int, pixels: Pixels, image_seed: int, where: str = "") -> Pixels | Failure:
    """Lay one preprocessor over pixels.

    Parameters
    ----------
    step : Step
    place : int
        Its position in its view, from 0.
    pixels : numpy.ndarray, shape (height, width, 3), uint8
        Read-only.
    image_seed : int
        `ImageFile.seed`.
    where : str
        Follows the preprocessor's name in messages, such as ``" of view 'denoised'"``.
    """
    name = step.stage.name
    try:
        made = step.stage.apply(pixels, step_seed(image_seed, place, step.key))
    except STAGE_ERRORS as error:
        return Failure("D2F404", f"preprocessor {name!r}{where}: {said(error)}")
    fault = _fault(made)
    if fault:
        return Failure("D2F405", f"preprocessor {name!r}{where} returned {fault}")
    return read_only(made)


def read_only(pixels: Pixels) -> Pixels:
    """Return the pixels in one block that cannot be written to; the given array stays as it is."""
    view = np.ascontiguousarray(pixels).view()
    view.flags.writeable = False
    return view


def _fault(made: object) -> str:
    """Say what keeps something from being a view; empty where nothing does."""
    if not isinstance(made, np.ndarray):
        return f"a {type(made).__name__}, not an array"
    if made.dtype != np.uint8 or made.ndim != 3 or made.shape[2] != 3 or made.size == 0:
        return f"{made.dtype} of shape {made.shape}, not uint8 of (height, width, 3)"
    return ""
