"""What detectors look at: the views of a plan as a tree of steps, each applied once, and tiles cut from a view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import FileBytes, ImageFile, Input, Needs, Pixels, Tiles
from d2f.api.rows import Failure
from d2f.api.stages import Detector
from d2f.engine.findings import STAGE_ERRORS, failure_of
from d2f.engine.plan import PLAIN, Plan, Step, step_seed

NOTHING_NEEDED = Needs()


@dataclass(frozen=True, slots=True)
class MemberStage:
    """One member of a plan: a detector on a view, at its `index` in the plan.

    `at_once`: it may score in a worker thread, one image at a time.
    """

    index: int
    detector: str
    view: str
    stage: Detector
    wants: Input
    needs: Needs
    at_once: bool


@dataclass(slots=True)
class ViewNode:
    """A view, or the beginning of several: the result of a step applied to the node above."""

    view: str
    place: int = -1
    step: Step | None = None
    members: list[MemberStage] = field(default_factory=list)
    children: dict[str, ViewNode] = field(default_factory=dict)

    @property
    def thread_safe(self) -> bool:
        """Whether the step may run in a worker thread."""
        return self.step is None or bool(getattr(self.step.stage, "thread_safe", False))

    def all_members(self) -> Iterator[MemberStage]:
        """Yield the members of this node and of all below it."""
        yield from self.members
        for child in self.children.values():
            yield from child.all_members()


def view_tree(plan: Plan, missing: Mapping[int, str]) -> tuple[ViewNode, dict[int, str]]:
    """Build the tree of the views that are scored.

    `missing`: reasons of stages that are not usable, by their ``id``. Returns the root, and the reason of each member
    that cannot be scored for want of a stage, by its index.
    """
    root = ViewNode(PLAIN)
    unusable: dict[int, str] = {}
    members = [(detector, view) for detector in plan.detectors for view in detector.views]
    for index, (detector, view) in enumerate(members):
        if view != PLAIN and view not in plan.views:
            raise D2FError.of("D2F120", f"detector {detector.id!r} looks at an unknown view {view!r}")
        if isinstance(detector.stage.wants, FileBytes) and view != PLAIN:
            raise D2FError.of("D2F123", f"detector {detector.id!r} reads the file's bytes, not view {view!r}")
        steps = plan.views.get(view, ())
        stages = [detector.stage, *(step.stage for step in steps)]
        reason = next((missing[id(stage)] for stage in stages if id(stage) in missing), None)
        if reason is not None:
            unusable[index] = reason
            continue
        node = root
        for place, step in enumerate(steps):
            node = node.children.setdefault(step.key, ViewNode(view, place, step))
        stage, wants = detector.stage, detector.stage.wants
        at_once = bool(getattr(stage, "thread_safe", False)) and not isinstance(wants, Tiles)
        node.members.append(
            MemberStage(index, detector.id, view, stage, wants, getattr(stage, "needs", NOTHING_NEEDED), at_once)
        )
    return root, unusable


def apply_steps(image: ImageFile, steps: Sequence[Step]) -> Pixels:
    """Apply a list of preprocessors to an image, as a view of a chain would.

    Returns shape (height, width, 3), uint8.
    """
    pixels = read_only(image.pixels)
    for place, step in enumerate(steps):
        made = apply_step(step, place, pixels, image.seed)
        if isinstance(made, Failure):
            raise D2FError(Problem(made.code, f"{image.path}: {made.message}"), Exit.SOME_FAILED)
        pixels = made
    return pixels


def apply_step(step: Step, place: int, pixels: Pixels, image_seed: int, where: str = "") -> Pixels | Failure:
    """Apply one preprocessor to pixels of shape (height, width, 3), uint8."""
    name = step.stage.name
    try:
        made = step.stage.apply(pixels, step_seed(image_seed, place, step.key))
    except STAGE_ERRORS as error:
        return failure_of(error, "D2F404", f"preprocessor {name!r}{where}: ")
    if not isinstance(made, np.ndarray):
        fault = f"a {type(made).__name__}, not an array"
    elif made.dtype != np.uint8 or made.ndim != 3 or made.shape[2] != 3 or made.size == 0:
        fault = f"{made.dtype} of shape {made.shape}, not uint8 of (height, width, 3)"
    else:
        return read_only(made)
    return Failure("D2F405", f"preprocessor {name!r}{where} returned {fault}")


def read_only(pixels: Pixels) -> Pixels:
    """Return the pixels in one block that cannot be written to; the given array stays as it is."""
    view = np.ascontiguousarray(pixels).view()
    view.flags.writeable = False
    return view


Corner = tuple[int, int]
"""Row and column of a tile's upper left pixel."""


def cut(pixels: Pixels, corners: list[Corner], size: int) -> Pixels:
    """Return copies of the tiles, shape (len(corners), size, size, 3), uint8."""
    return np.stack([pixels[top : top + size, left : left + size] for top, left in corners])


def covered(corners: list[Corner], size: int, height: int, width: int) -> float:
    """Return the share of a view's pixels that lie in at least one tile, in (0, 1]."""
    rows = np.unique([edge for top, _ in corners for edge in (top, top + size)])
    columns = np.unique([edge for _, left in corners for edge in (left, left + size)])
    inside = np.zeros((len(rows), len(columns)), dtype=bool)
    for top, left in corners:
        down, right = np.searchsorted(rows, (top, top + size)), np.searchsorted(columns, (left, left + size))
        inside[down[0] : down[1], right[0] : right[1]] = True
    area = inside[:-1, :-1] * np.outer(np.diff(rows), np.diff(columns))
    return float(area.sum() / (height * width))


def tile_corners(pixels: Pixels, tiles: Tiles) -> list[Corner]:
    """Return the corners of a view's tiles, row by row; none where the view is smaller than a tile.

    Depends on the pixels and on `tiles` only. Tiles that would lie in the same place are taken once.

    `pixels` shape (height, width, 3), uint8.
    """
    height, width = pixels.shape[:2]
    down, right = height - tiles.size, width - tiles.size
    if down < 0 or right < 0:
        return []
    if tiles.pick == "centre":
        return [(down // 2, right // 2)]
    if tiles.pick == "grid":
        return grid_corners(down, right, tiles.count, height / width)
    return textured(pixels, tiles)


def grid_corners(down: int, right: int, count: int, aspect: float) -> list[Corner]:
    """Spread `count` corners evenly over rows 0..down and columns 0..right.

    As many rows as keep the spacing alike both ways, each with its share of the tiles, reaching from
    edge to edge; a row or a column of one lies in the middle.
    """
    rows = min(count, max(1, round((count * aspect) ** 0.5)))
    found = {
        (top, left)
        for row, top in enumerate(_spread(down, rows))
        for left in _spread(right, count * (row + 1) // rows - count * row // rows)
    }
    return sorted(found)


def _spread(last: int, count: int) -> list[int]:
    if count == 1:
        return [last // 2]
    return [(2 * index * last + count - 1) // (2 * (count - 1)) for index in range(count)]


def textured(pixels: Pixels, tiles: Tiles) -> list[Corner]:
    """Pick the corners of the grid of step size/2 whose tiles have the most texture.

    Texture is the variance of the differences between horizontal and vertical neighbours within the
    tile, of the sum of the three channels. Of tiles with the same texture the upper, then the left
    one goes first. Sums are of integers, so that the choice repeats everywhere.
    """
    size, step = tiles.size, max(1, tiles.size // 2)
    height, width = pixels.shape[:2]
    lefts = np.arange(0, width - size + 1, step)
    ranked = []
    for top in range(0, height - size + 1, step):
        stripe = pixels[top : top + size]
        # Three additions: a sum over the short last axis takes 15 times as long.
        grey = stripe[..., 0].astype(np.int32) + stripe[..., 1] + stripe[..., 2]
        textures = _textures(grey, lefts, size)
        ranked += [(-texture, top, int(left)) for texture, left in zip(textures, lefts, strict=True)]
    return sorted((top, left) for _, top, left in sorted(ranked)[: tiles.count])


def _textures(stripe: NDArray[np.int32], lefts: NDArray[np.int_], size: int) -> list[int]:
    """Return, of each tile of a stripe, its texture times the square of the number of differences."""
    down, right = np.diff(stripe, axis=0), np.diff(stripe, axis=1)
    count = 2 * size * (size - 1)
    total = _windows(down.sum(axis=0), lefts, size) + _windows(right.sum(axis=0), lefts, size - 1)
    squares = _windows(_squares(down), lefts, size) + _windows(_squares(right), lefts, size - 1)
    # In Python's integers: the product passes 64 bits for the largest tiles.
    return [count * int(square) - int(one) ** 2 for square, one in zip(squares, total, strict=True)]


def _squares(differences: NDArray[np.int32]) -> NDArray[np.int64]:
    sums: NDArray[np.int64] = np.einsum("ij,ij->j", differences, differences, dtype=np.int64)
    return sums


def _windows(columns: NDArray[np.int64], lefts: NDArray[np.int_], length: int) -> NDArray[np.int64]:
    """Return the sums of `length` columns from each of `lefts` on."""
    running = np.concatenate(([0], np.cumsum(columns, dtype=np.int64)))
    return running[lefts + length] - running[lefts]
