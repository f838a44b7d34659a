"""The views of a plan as a tree of steps, each step applied once; and one preprocessor applied to pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import FileBytes, ImageFile, Input, Needs, Pixels, Tiles
from d2f.api.rows import Failure
from d2f.api.stages import Detector
from d2f.engine.findings import STAGE_ERRORS, failure_of
from d2f.engine.plan import PLAIN, BoundDetector, Plan, Step, step_seed

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
        steps = _steps(plan, detector, view)
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


def _steps(plan: Plan, detector: BoundDetector, view: str) -> tuple[Step, ...]:
    if view != PLAIN and view not in plan.views:
        raise D2FError.of("D2F120", f"detector {detector.id!r} looks at an unknown view {view!r}")
    if isinstance(detector.stage.wants, FileBytes) and view != PLAIN:
        raise D2FError.of("D2F123", f"detector {detector.id!r} reads the file's bytes, not view {view!r}")
    return plan.views.get(view, ())


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
    """Return why something is not a view; empty where it is one."""
    if not isinstance(made, np.ndarray):
        return f"a {type(made).__name__}, not an array"
    if made.dtype != np.uint8 or made.ndim != 3 or made.shape[2] != 3 or made.size == 0:
        return f"{made.dtype} of shape {made.shape}, not uint8 of (height, width, 3)"
    return ""
