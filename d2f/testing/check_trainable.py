"""Weights: recorded with digest and licence, read strictly, free of pickles."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels, Weights
from d2f.metrics import roc_auc
from d2f.testing.batches import fingerprint, random_state
from d2f.testing.pictures import hard_pictures, ordinary_pictures
from d2f.testing.subject import Failed, NotMeant, Skipped, Subject, check, even_weights, fail_if
from d2f.weights import read_hdf5, read_torch, read_weights, write_weights

SIDE = 256
ROWS = 80
NETWORK_SIDE = 224
LEAST_AUC = 0.9


@check("features are finite, one row a picture", gate=True)
def trainable_features(subject: Subject) -> str:
    """float64 (d,), the same d for every picture; None where its detector would abstain."""
    _need(subject, "features")
    found, lengths = [], set()
    for name, picture in {**ordinary_pictures(SIDE, SIDE), **hard_pictures()}.items():
        before = fingerprint(picture)
        try:
            row = subject.instance.features(picture)
        except Exception as error:
            found.append(f"on {name}: it raised {subject.said(error)}")
            continue
        if fingerprint(picture) != before:
            found.append(f"on {name}: it changed the picture")
        if row is None:
            continue
        if not isinstance(row, np.ndarray) or row.ndim != 1 or row.dtype != np.float64:
            found.append(f"on {name}: {getattr(row, 'dtype', type(row).__name__)} of shape {np.shape(row)}")
        elif not np.isfinite(row).all():
            found.append(f"on {name}: a feature is not finite")
        else:
            lengths.add(len(row))
    fail_if(found, "return float64 (d,), or None for a picture that there is nothing to say of")
    if len(lengths) != 1:
        raise Failed(f"rows of {sorted(lengths) or 'no'} features", "one length, whatever the picture's size")
    return f"{lengths.pop()} features"


@check("the same picture gives the same features")
def deterministic_features(subject: Subject) -> str:
    """Again, on a fresh instance, whatever the shared random generators hold."""
    _need(subject, "features")
    given = ordinary_pictures(SIDE, SIDE)
    with random_state(1):
        once = {name: subject.instance.features(picture) for name, picture in given.items()}
    with random_state(2):
        again = {name: subject.fresh().features(picture) for name, picture in given.items()}
    found = [f"on {name}: other features" for name in once if not np.array_equal(once[name], again[name])]
    fail_if(found, "draw nothing at random; features are computed anew in every process")
    return ""


@check("a fit tells the classes apart", gate=True)
def trainable_fits(subject: Subject) -> str:
    """On rows that differ by their label it ranks new rows well; the same seed gives the same arrays."""
    _need(subject, "features")
    arrays = _fit(subject)
    again = _fit(subject)
    if arrays.keys() != again.keys() or any(not np.array_equal(arrays[name], again[name]) for name in arrays):
        raise Failed("a second fit with the same seed differs", "pass `seed` on to what draws at random")
    rows, labels, _ = _labelled_rows(subject, seed=2)
    scores = np.asarray(subject.instance.predict(arrays, rows))
    if scores.shape != (len(rows),) or not np.isfinite(scores).all():
        raise Failed(
            f"predict returned {scores.dtype} of shape {scores.shape}", "finite scores (n,) for features (n, d)"
        )
    auc = roc_auc(labels, scores)
    if auc < LEAST_AUC:
        raise Failed(
            f"AUC {auc:.2f} on rows that are easy to tell apart", "a higher score means generated: labels are 0 and 1"
        )
    return f"AUC {auc:.2f} on new rows; arrays {', '.join(sorted(arrays))}"


@check("what is fitted fits into a weights file")
def written(subject: Subject) -> str:
    """Plain arrays, no pickle: written as safetensors and read again, they predict the same."""
    _need(subject, "features")
    arrays, (rows, _, _) = _fit(subject), _labelled_rows(subject, seed=2)
    with tempfile.TemporaryDirectory(prefix="d2f-check-") as folder:
        path = Path(folder) / "fitted.safetensors"
        try:
            write_weights(path, {name: np.asarray(value) for name, value in arrays.items()})
            held = read_weights(path).arrays
        except Exception as error:
            raise subject.raised("writing its arrays", error, "return arrays of numbers, by name") from error
    if not np.array_equal(subject.instance.predict(arrays, rows), subject.instance.predict(held, rows)):
        raise Failed("read back, they predict otherwise", "return in `fit` all that `predict` uses")
    one = np.concatenate([subject.instance.predict(arrays, rows[i : i + 1]) for i in range(len(rows))])
    if not np.allclose(one, subject.instance.predict(arrays, rows), rtol=1e-9, atol=1e-9):
        raise Failed("a row's score depends on the rows beside it", "predict each row by itself")
    return ""


@check("build() makes a fresh network")
def network(subject: Subject) -> str:
    """float32 (n, height, width, 3) in [0, 1] to finite logits (n,) or (n, 2); nothing is shared between two."""
    _need(subject, "build")
    import mlx.core as mx

    one, other = subject.instance.build(), subject.instance.build()
    if one is other:
        raise Failed("it returned the same network twice", "make a new one in every call")
    one.eval()
    pictures = list(ordinary_pictures(NETWORK_SIDE, NETWORK_SIDE).values())[:2]
    logits = np.array(one(mx.array(np.stack(pictures).astype(np.float32) / 255.0)))
    if logits.shape not in ((2,), (2, 2)) or not np.isfinite(logits).all():
        raise Failed(f"logits of shape {logits.shape} for two pictures", "finite logits (n,) or (n, 2)")
    return f"logits {logits.shape}"


def _need(subject: Subject, method: str) -> None:
    if not callable(getattr(subject.stage, method, None)):
        raise NotMeant


def _labelled_rows(subject: Subject, seed: int) -> tuple[Floats, Labels, Floats]:
    """Return seeded rows as wide as its features, in which the label shifts every column."""
    row = subject.instance.features(ordinary_pictures(SIDE, SIDE)["camera"])
    width = len(row) if row is not None else 1
    rng = np.random.default_rng(seed)
    labels = (np.arange(ROWS) % 2).astype(np.int8)
    shift = np.random.default_rng(0).choice([-1.5, 1.5], width)
    return rng.normal(0.0, 1.0, (ROWS, width)) + labels[:, None] * shift, labels, even_weights(labels)


def _fit(subject: Subject) -> Mapping[str, Any]:
    rows, labels, weights = _labelled_rows(subject, seed=1)
    try:
        arrays = subject.instance.fit(rows, labels, weights * len(rows), 1)
    except Exception as error:
        raise subject.raised("fitting it", error, "take float64 (n, d), labels of 0 and 1, weights above 0") from error
    if not isinstance(arrays, Mapping) or not arrays:
        raise Failed(f"fit returned {arrays!r:.60}", "return the arrays of the weights file, by name")
    return arrays


PICKLED = (".pkl", ".pickle", ".bin", ".joblib", ".dill", ".pb")
"""Endings of formats that run code when they are read, or may."""

CHECKPOINTS = (".pt", ".pth", ".ckpt", ".h5", ".hdf5")
"""Endings of PyTorch's and Keras', which may as well, but of which `d2f.weights` takes the arrays alone."""

OPTION = "weights"
"""The option by which a stage is told which weights to take, where it has one."""


@check("its weights are recorded")
def recorded(subject: Subject) -> str:
    """Each record has a digest, a licence and sources that run nothing when they are read."""
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
    """Return whether a record's file holds arrays that d2f reads without running anything: PyTorch's or HDF5's."""
    for read in (read_torch, read_hdf5):
        with suppress(D2FError):
            read(record)
            return True
    return False


@check("it refuses weights that do not fit")
def strict_weights(subject: Subject) -> str:
    """A file with an array missing, one too many, or one of another shape must not load."""
    arrays = _arrays(subject)
    accepted = [what for what, changed in _misfits(arrays).items() if _accepts(subject, changed)]
    fail_if(
        [f"it loaded a file {what}" for what in accepted],
        "after read_weights, call d2f.weights.strict(arrays, {name: shape, …})",
    )
    return "missing, unknown and misshapen arrays"


@check("it says what its weights were trained on")
def states_trained_on(subject: Subject) -> str:
    """`trained_on`, after load: uint64, so that no chain is fitted on the same images."""
    stated = getattr(subject.instance, "trained_on", None)
    if stated is None:
        if getattr(subject.instance, "weights", ()):
            raise Skipped("not stated: `d2f chain fit` cannot tell whether it is fitted on the same images")
        raise NotMeant
    if not isinstance(stated, np.ndarray) or stated.dtype != np.uint64 or stated.ndim != 1:
        raise Failed(f"it is {stated!r:.60}", "a uint64 array, as d2f.weights.short_digests makes it")
    return f"{len(stated)} images"


def _arrays(subject: Subject) -> Mapping[str, Any]:
    records = getattr(subject.instance, "weights", ())
    if not records:
        raise NotMeant
    if OPTION not in subject.stage.Options.model_fields:
        raise Skipped(f"it has no option `{OPTION}` by which it could be given others")
    try:
        return read_weights(records[0]).arrays
    except Exception as error:
        raise Skipped(f"d2f.weights.read_weights does not read them: {subject.said(error)}") from error


def _misfits(arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    first = next(iter(arrays))
    rest = {name: value for name, value in arrays.items() if name != first}
    return {
        f"without '{first}'": rest,
        "with an unknown array": {**arrays, "d2f-check-unknown": np.zeros(1, np.float32)},
        f"where '{first}' has another shape": {**rest, first: np.zeros((*np.shape(arrays[first]), 2), np.float32)},
    }


def _accepts(subject: Subject, arrays: Mapping[str, Any]) -> bool:
    with tempfile.TemporaryDirectory(prefix="d2f-check-") as folder:
        path = Path(folder) / "changed.safetensors"
        write_weights(path, arrays)
        other = Subject(subject.kind, subject.stage, {**subject.options, OPTION: str(path)})
        try:
            other.fresh()
        except Exception:
            return False
    return True
