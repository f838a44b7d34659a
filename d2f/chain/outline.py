"""The parts of a chain file that are there, whatever else is wrong with it, so that all problems show at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from d2f.chain.yaml import Items, Key, Node, Pairs, Scalar
from d2f.engine.plan import PLAIN

Path = tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class StagePart:
    """A stage as it is written: its kind, its place, its name and options where they can be read."""

    kind: str
    path: Path
    use: str | None
    options: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class DetectorPart:
    """A detector as it is written."""

    stage: StagePart
    id: str | None
    views: tuple[tuple[Path, str], ...]
    complete: bool = True

    @property
    def members(self) -> tuple[str, ...]:
        """Names of its members."""
        return tuple(f"{self.id}/{view}" for _, view in self.views) if self.id is not None else ()


@dataclass(frozen=True, slots=True)
class Outline:
    """What can be read of a chain file; its members are all known where it is `complete`."""

    views: dict[str, list[StagePart]] = field(default_factory=dict)
    checks: list[StagePart] = field(default_factory=list)
    detectors: list[DetectorPart] = field(default_factory=list)
    calibrate: dict[str, StagePart] = field(default_factory=dict)
    combine: StagePart | None = None
    combine_calibrate: StagePart | None = None
    complete: bool = False

    @property
    def members(self) -> tuple[str, ...]:
        """Names of all members, in the chain's order."""
        return tuple(member for detector in self.detectors for member in detector.members)

    @property
    def stages(self) -> Iterator[StagePart]:
        """Every stage but the combiner, which is built for the members."""
        for steps in self.views.values():
            yield from steps
        yield from self.checks
        yield from (detector.stage for detector in self.detectors)
        yield from self.calibrate.values()
        if self.combine_calibrate is not None:
            yield self.combine_calibrate


def outline(root: Pairs, combiner: str) -> Outline:
    """Return the outline of a file; `combiner` is the name used where the file names none."""
    views = {
        name: [part for at, step in _items(steps, ("views", name)) if (part := _stage("preprocessor", at, step))]
        for name, steps in _pairs(root.get("views"))
    }
    checks = [
        part
        for key, kind in (("require", "precondition"), ("evidence", "evidence"))
        for at, node in _items(root.get(key), (key,))
        if (part := _stage(kind, at, node))
    ]
    listed = _items(root.get("detectors"), ("detectors",))
    detectors = [detector for at, node in listed if (detector := _detector(at, node))]
    calibrate = {
        member: part
        for member, node in _pairs(root.get("calibrate"))
        if (part := _stage("calibrator", ("calibrate", member), node))
    }
    combine = root.get("combine")
    above = combine.get("calibrate") if isinstance(combine, Pairs) else None
    return Outline(
        views,
        checks,
        detectors,
        calibrate,
        _stage("combiner", ("combine",), combine if combine is not None else Pairs(root.span), combiner),
        _stage("calibrator", ("combine", "calibrate"), above) if above is not None else None,
        complete=0 < len(listed) == sum(detector.complete for detector in detectors),
    )


def _stage(kind: str, path: Path, node: Node, default: str | None = None) -> StagePart | None:
    if not isinstance(node, Pairs):
        return None
    given = node.get("with")
    options = {} if given is None else given.data if isinstance(given, Pairs) else None
    return StagePart(kind, path, _text(node.get("use")) if "use" in node.pairs else default, options)


def _detector(path: Path, node: Node) -> DetectorPart | None:
    stage = _stage("detector", path, node)
    if stage is None or not isinstance(node, Pairs):
        return None
    name = _text(node.get("id")) if "id" in node.pairs else stage.use
    if "views" not in node.pairs:
        return DetectorPart(stage, name, ((path, PLAIN),), name is not None)
    listed = _items(node.get("views"), (*path, "views"))
    views = tuple((at, view) for at, item in listed if (view := _text(item)) is not None)
    return DetectorPart(stage, name, views, name is not None and 0 < len(listed) == len(views))


def _text(node: Node | None) -> str | None:
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else None


def _items(node: Node | None, path: Path) -> list[tuple[Path, Node]]:
    return [((*path, index), item) for index, item in enumerate(node.items)] if isinstance(node, Items) else []


def _pairs(node: Node | None) -> list[tuple[str, Node]]:
    return [(key, pair.value) for key, pair in node.pairs.items()] if isinstance(node, Pairs) else []
