"""d2f tells AI-generated images from photographs by a chain of detectors over several views.

Everything that a plugin or a program may use is named here or in a module that the reference lists as
public; importing `d2f` loads no array library and no plugin.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from d2f.api.errors import CODES, D2FError, Exit, Place, Problem, WeightsMissing
from d2f.api.hooks import API_VERSION, hookimpl
from d2f.api.inputs import (
    Bounds,
    FileBytes,
    Floats,
    ImageFile,
    Input,
    Labels,
    Needs,
    Note,
    Pixels,
    Tiles,
    Weights,
    WholeImage,
)
from d2f.api.outcomes import Abstention, Combination, Evidence, Outcome, Score, StageFinished
from d2f.api.rows import Failure, Member, Missing, Row
from d2f.api.stages import (
    Calibrator,
    Combiner,
    Detector,
    EstimatorTrainable,
    EvidenceReader,
    GradientTrainable,
    Precondition,
    Preprocessor,
    Stage,
)
from d2f.chain.chain import Chain, load_chain
from d2f.chain.result import Result
from d2f.mlx_cpu import hook as _mlx_hook
from d2f.version import __version__

__all__ = [
    "API_VERSION",
    "CODES",
    "Abstention",
    "Bounds",
    "Calibrator",
    "Chain",
    "Combination",
    "Combiner",
    "D2FError",
    "Detector",
    "EstimatorTrainable",
    "Evidence",
    "EvidenceReader",
    "Exit",
    "Failure",
    "FileBytes",
    "Floats",
    "GradientTrainable",
    "ImageFile",
    "Input",
    "Labels",
    "Member",
    "Missing",
    "Needs",
    "NoOptions",
    "Note",
    "Options",
    "Outcome",
    "Pixels",
    "Place",
    "Precondition",
    "Preprocessor",
    "Problem",
    "Result",
    "Row",
    "Score",
    "Stage",
    "StageFinished",
    "Tiles",
    "Weights",
    "WeightsMissing",
    "WholeImage",
    "__version__",
    "explain",
    "hookimpl",
    "load_chain",
    "output",
]

if TYPE_CHECKING:
    from d2f import explain, output
    from d2f.api.options import NoOptions, Options


def __getattr__(name: str) -> Any:
    """Import when it is asked for what loads more than this module: pydantic, reports, the writers of rows."""
    if name in ("NoOptions", "Options"):
        from d2f.api import options

        return getattr(options, name)
    if name in ("explain", "output"):
        return import_module(f"d2f.{name}")
    raise AttributeError(f"module 'd2f' has no attribute {name!r}")


def _explain_image(*given: Any, **options: Any) -> Any:
    """Import what makes reports when one is asked for."""
    from d2f.explain import explain_image

    return explain_image(*given, **options)


Result._explained_by = _explain_image
_mlx_hook.install()
