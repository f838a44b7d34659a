"""The hooks a plugin may implement. Each takes nothing and returns classes, never instances.

Implement them as functions of the module that the entry point in group ``d2f`` names, decorated with
``d2f.hookimpl``. Import what is heavy inside the methods of the classes: listing plugins must not load
an array library. The module may set ``d2f_api = ">=1,<2"``, the range of `API_VERSION` it was written for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from d2f.api.inputs import Weights
    from d2f.api.outcomes import StageFinished
    from d2f.api.stages import (
        Calibrator,
        Combiner,
        Detector,
        EstimatorTrainable,
        EvidenceReader,
        GradientTrainable,
        Precondition,
        Preprocessor,
    )

API_VERSION = "1.1"
"""Version of the plugin API; see docs/adr/0001-plugin-api.md for what may change under it."""

GROUP = "d2f"
"""Entry-point group in which plugins register."""

hookspec = pluggy.HookspecMarker("d2f")
hookimpl = pluggy.HookimplMarker("d2f")


@hookspec
def d2f_detectors() -> Sequence[type[Detector]]:  # type: ignore[empty-body]
    """Return detector classes: image to score, or abstention."""


@hookspec
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:  # type: ignore[empty-body]
    """Return preprocessor classes: view to view."""


@hookspec
def d2f_preconditions() -> Sequence[type[Precondition]]:  # type: ignore[empty-body]
    """Return precondition classes: checks that an image must pass before pixel detectors may judge it."""


@hookspec
def d2f_evidence() -> Sequence[type[EvidenceReader]]:  # type: ignore[empty-body]
    """Return evidence reader classes: what a file says about itself."""


@hookspec
def d2f_calibrators() -> Sequence[type[Calibrator]]:  # type: ignore[empty-body]
    """Return calibrator classes: score to probability."""


@hookspec
def d2f_combiners() -> Sequence[type[Combiner]]:  # type: ignore[empty-body]
    """Return combiner classes: probabilities to one log-likelihood ratio."""


@hookspec
def d2f_trainables() -> Sequence[type[EstimatorTrainable] | type[GradientTrainable]]:  # type: ignore[empty-body]
    """Return model classes that `d2f train` can fit."""


@hookspec
def d2f_weights() -> Sequence[Weights]:  # type: ignore[empty-body]
    """Return records of the weights files that the plugin's stages can load."""


@hookspec
def d2f_stage_finished(event: StageFinished) -> None:
    """Observe a stage that has finished a batch; what it returns is ignored, what it raises costs only itself."""
