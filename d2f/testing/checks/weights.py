"""Weights: recorded with digest and licence, read strictly, free of pickles."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2f.testing.check import Failed, NotMeant, Skipped, check, fail_if
from d2f.testing.subject import Subject

if TYPE_CHECKING:
    from d2f.api.weights import Weights

PICKLED = (".pkl", ".pickle", ".bin", ".joblib", ".dill", ".h5", ".pb")
"""Endings of formats that run code when they are read, or may."""

CHECKPOINTS = (".pt", ".pth", ".ckpt")
"""Endings of PyTorch's, which may as well, but of which `d2f.weights.read_torch` takes the tensors alone."""

OPTION = "weights"
"""The option by which a stage is told which weights to take, where it has one."""


@check("its weights are recorded")
def recorded(subject: Subject) -> str:
    """Each record has a digest, a licence and sources that run nothing when they are read."""
    from d2f.api.weights import Weights

    records = getattr(subject.instance, "weights", None)
    if not records:
        raise NotMeant
    found = [f"{one!r:.60} is no d2f.Weights" for one in records if not isinstance(one, Weights)]
    fail_if(found, "let `weights` be a sequence of d2f.Weights records; d2f.weights.as_record makes one of a path")
    for one in records:
        if not re.fullmatch("[0-9a-f]{64}", one.sha256):
            found.append(f"{one.name}: its sha256 is not 64 hexadecimal digits")
        if not one.licence:
            found.append(f"{one.name}: no licence; an SPDX identifier, or a sentence")
        if not one.sources:
            found.append(f"{one.name}: no source")
        refused = PICKLED if _tensors_alone(one) else (*PICKLED, *CHECKPOINTS)
        for source in one.sources:
            if source.partition("@")[0].lower().endswith(refused):
                found.append(f"{one.name}: {source} is of a format that runs code when it is read")
    fail_if(found, "convert them once to .safetensors and record that file: d2f.weights.write_weights")
    return ", ".join(one.name for one in records)


def _tensors_alone(record: Weights) -> bool:
    """Return whether a record's file is a PyTorch checkpoint with nothing in it that could be run."""
    from d2f.api.errors import D2FError
    from d2f.weights import read_torch

    try:
        read_torch(record)
    except D2FError:
        return False
    return True


@check("it refuses weights that do not fit")
def strict_weights(subject: Subject) -> str:
    """A file with an array missing, one too many, or one of another shape must not load."""
    arrays = _arrays(subject)
    accepted = [what for what, changed in _changes(arrays).items() if _accepts(subject, changed)]
    fail_if(
        [f"it loaded a file {what}" for what in accepted],
        "after read_weights, call d2f.weights.strict(arrays, {name: shape, …})",
    )
    return "missing, unknown and misshapen arrays"


@check("it says what its weights were trained on")
def trained_on(subject: Subject) -> str:
    """`trained_on`, after load: uint64, so that no chain is fitted on the same images."""
    import numpy as np

    stated = getattr(subject.instance, "trained_on", None)
    if stated is None:
        if getattr(subject.instance, "weights", ()):
            raise Skipped("not stated: `d2f chain fit` cannot tell whether it is fitted on the same images")
        raise NotMeant
    if not isinstance(stated, np.ndarray) or stated.dtype != np.uint64 or stated.ndim != 1:
        raise Failed(f"it is {stated!r:.60}", "a uint64 array, as d2f.weights.short_digests makes it")
    return f"{len(stated)} images"


def _arrays(subject: Subject) -> Mapping[str, Any]:
    from d2f.weights import read_weights

    records = getattr(subject.instance, "weights", ())
    if not records:
        raise NotMeant
    if OPTION not in subject.stage.Options.model_fields:
        raise Skipped(f"it has no option `{OPTION}` by which it could be given others")
    try:
        return read_weights(records[0]).arrays
    except Exception as error:
        raise Skipped(f"d2f.weights.read_weights does not read them: {subject.said(error)}") from error


def _changes(arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    import numpy as np

    first = next(iter(arrays))
    rest = {name: value for name, value in arrays.items() if name != first}
    return {
        f"without '{first}'": rest,
        "with an unknown array": {**arrays, "d2f-check-unknown": np.zeros(1, np.float32)},
        f"where '{first}' has another shape": {**rest, first: np.zeros((*np.shape(arrays[first]), 2), np.float32)},
    }


def _accepts(subject: Subject, arrays: Mapping[str, Any]) -> bool:
    from d2f.weights import write_weights

    with tempfile.TemporaryDirectory(prefix="d2f-check-") as folder:
        path = Path(folder) / "changed.safetensors"
        write_weights(path, arrays)
        other = Subject(subject.kind, subject.stage, {**subject.options, OPTION: str(path)})
        try:
            other.fresh()
        except Exception:
            return False
    return True
