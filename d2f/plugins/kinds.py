"""The kinds of stage, and for each its hook, its methods and the code of an unknown name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of stage.

    Parameters
    ----------
    name : str
        Singular, as errors and `catalog.find` call it.
    hook : str
        The hook that returns stages of this kind.
    unknown : str
        Code of the problem that an unknown name is.
    methods : tuple of tuple of str
        A stage has all methods of one of these; its first one tells the kind.
    """

    name: str
    hook: str
    unknown: str
    methods: tuple[tuple[str, ...], ...]

    @property
    def plural(self) -> str:
        """The kind's name in a heading."""
        return f"{self.name}s"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("detector", "d2f_detectors", "D2F110", (("score",),)),
        Kind("preprocessor", "d2f_preprocessors", "D2F111", (("apply",),)),
        Kind("calibrator", "d2f_calibrators", "D2F112", (("probability", "fit"),)),
        Kind("combiner", "d2f_combiners", "D2F113", (("combine", "fit"),)),
        Kind("trainable", "d2f_trainables", "D2F607", (("features", "fit", "predict"), ("build",))),
    )
}
"""Every kind by its name, in the order in which they are listed."""


def kind_of(stage: type) -> str | None:
    """Return the name of the kind whose first method `stage` has, None where it has none."""
    for kind in KINDS.values():
        if any(callable(getattr(stage, methods[0], None)) for methods in kind.methods):
            return kind.name
    return None
