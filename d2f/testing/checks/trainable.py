"""Trainables: models that `d2f train` fits, at one stroke or step by step."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2f.testing.check import Failed, NotMeant, check, fail_if
from d2f.testing.pictures import hard_pictures, ordinary_pictures
from d2f.testing.scores import even_weights
from d2f.testing.subject import Subject
from d2f.testing.unchanged import fingerprint, random_state

if TYPE_CHECKING:
    from d2f.api.arrays import Floats, Labels

SIDE = 256
ROWS = 80
NETWORK_SIDE = 224
LEAST_AUC = 0.9


@check("features are finite, one row a picture", gate=True)
def features(subject: Subject) -> str:
    """float64 (d,), the same d for every picture; None where its detector would abstain."""
    import numpy as np

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
    import numpy as np

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
def fits(subject: Subject) -> str:
    """On rows that differ by their label it ranks new rows well; the same seed gives the same arrays."""
    import numpy as np

    from d2f.measure import roc_auc

    _need(subject, "features")
    arrays = _fit(subject)
    again = _fit(subject)
    if arrays.keys() != again.keys() or any(not np.array_equal(arrays[name], again[name]) for name in arrays):
        raise Failed("a second fit with the same seed differs", "pass `seed` on to what draws at random")
    rows, labels, _ = _table(subject, seed=2)
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
    import numpy as np

    from d2f.weights import read_weights, write_weights

    _need(subject, "features")
    arrays, (rows, _, _) = _fit(subject), _table(subject, seed=2)
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
    import numpy as np

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


def _table(subject: Subject, seed: int) -> tuple[Floats, Labels, Floats]:
    """Return seeded rows as wide as its features, in which the label shifts every column."""
    import numpy as np

    row = subject.instance.features(ordinary_pictures(SIDE, SIDE)["camera"])
    width = len(row) if row is not None else 1
    rng = np.random.default_rng(seed)
    labels = (np.arange(ROWS) % 2).astype(np.int8)
    shift = np.random.default_rng(0).choice([-1.5, 1.5], width)
    return rng.normal(0.0, 1.0, (ROWS, width)) + labels[:, None] * shift, labels, even_weights(labels)


def _fit(subject: Subject) -> Mapping[str, Any]:
    rows, labels, weights = _table(subject, seed=1)
    try:
        arrays = subject.instance.fit(rows, labels, weights * len(rows), 1)
    except Exception as error:
        raise subject.raised("fitting it", error, "take float64 (n, d), labels of 0 and 1, weights above 0") from error
    if not isinstance(arrays, Mapping) or not arrays:
        raise Failed(f"fit returned {arrays!r:.60}", "return the arrays of the weights file, by name")
    return arrays
