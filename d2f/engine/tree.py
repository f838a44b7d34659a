"""The views of a plan as a tree: views that begin alike share what they begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from d2f.api.errors import D2FError
from d2f.api.inputs import FileBytes, Input, Tiles
from d2f.api.outcomes import Abstention
from d2f.api.stages import Detector
from d2f.engine.plan import PLAIN, BoundDetector, Plan, Step


@dataclass(frozen=True, slots=True)
class Reader:
    """One cell of the plan: a detector that looks at a view.

    `at_once` says that it may be asked in a worker thread, one image at a time.
    """

    index: int
    detector: str
    view: str
    stage: Detector
    wants: Input
    at_once: bool


@dataclass(slots=True)
class Node:
    """A view, or the beginning of several: what a step makes of the node above.

    Parameters
    ----------
    view : str
        The first view, in the chain's order, that passes here.
    place : int
        The step's position in its view.
    step : Step or None
        None at the root, which is the image itself.
    """

    view: str
    place: int = -1
    step: Step | None = None
    readers: list[Reader] = field(default_factory=list)
    children: dict[str, Node] = field(default_factory=dict)

    @property
    def anywhere(self) -> bool:
        """Whether the step may run in a worker thread."""
        return self.step is None or bool(getattr(self.step.stage, "thread_safe", False))

    def below(self) -> list[Reader]:
        """Return the readers of this node and of all that follow from it."""
        found = list(self.readers)
        for child in self.children.values():
            found += child.below()
        return found


def grow(plan: Plan, missing: Mapping[int, str]) -> tuple[Node, dict[int, Abstention]]:
    """Build the tree of the views that are read.

    Parameters
    ----------
    plan : Plan
    missing : mapping
        By `id` of a stage, why it has nothing to say; from `load_stages`.

    Returns
    -------
    root : Node
    settled : dict of int to Abstention
        By cell, what is known of every image beforehand because a stage's weights are missing.

    Raises
    ------
    D2FError
        D2F120 where a detector looks at a view that the plan does not have, D2F123 where one that
        reads the file's bytes looks at another view than `plain`.
    """
    root = Node(PLAIN)
    settled: dict[int, Abstention] = {}
    cells = [(detector, view) for detector in plan.detectors for view in detector.views]
    for index, (detector, view) in enumerate(cells):
        steps = _steps(plan, detector, view)
        stages = [detector.stage, *(step.stage for step in steps)]
        reason = next((missing[id(stage)] for stage in stages if id(stage) in missing), None)
        if reason is not None:
            settled[index] = Abstention(reason)
        else:
            _node(root, view, steps).readers.append(_reader(index, detector, view))
    return root, settled


def _steps(plan: Plan, detector: BoundDetector, view: str) -> tuple[Step, ...]:
    if view != PLAIN and view not in plan.views:
        raise D2FError.of("D2F120", f"detector {detector.id!r} looks at a view {view!r} that is not there")
    if isinstance(detector.stage.wants, FileBytes) and view != PLAIN:
        raise D2FError.of("D2F123", f"detector {detector.id!r} reads the file's bytes, not view {view!r}")
    return plan.views.get(view, ())


def _node(root: Node, view: str, steps: tuple[Step, ...]) -> Node:
    node = root
    for place, step in enumerate(steps):
        node = node.children.setdefault(step.key, Node(view, place, step))
    return node


def _reader(index: int, detector: BoundDetector, view: str) -> Reader:
    stage = detector.stage
    wants = stage.wants
    at_once = bool(getattr(stage, "thread_safe", False)) and not isinstance(wants, Tiles)
    return Reader(index, detector.id, view, stage, wants, at_once)
