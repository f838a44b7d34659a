"""The head with a hidden layer: several small networks on all crops' standardised tokens; their mean is the score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f_clip_probe.head import moments, standardised
from d2f_clip_probe.options import Hidden

Array = NDArray[np.float32]

NAMES = ("centre", "deviation", "inner", "inner_bias", "outer", "outer_bias")
"""Arrays of shape (crops, d) twice, (members, units, crops * d), (members, units), (members, units), (members,)."""

FIRST, SECOND, TINY = 0.9, 0.999, 1e-8
"""Decay of Adam's two moments, and what keeps its division finite (arXiv 1412.6980)."""


def shapes(crops: int, width: int, hidden: Hidden) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array of `NAMES`."""
    members, units = hidden.members, hidden.units
    inner = (members, units, crops * width)
    found = ((crops, width), (crops, width), inner, (members, units), (members, units), (members,))
    return dict(zip(NAMES, found, strict=True))


def scores(arrays: Mapping[str, NDArray[Any]], tokens: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log odds of `generated` of pictures.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        As `fit` returns them.
    tokens : numpy.ndarray, shape (n, crops, d)

    Returns
    -------
    numpy.ndarray, shape (n,), float64
    """
    inner, bias, outer = (arrays[name].astype(np.float32, copy=False) for name in ("inner", "inner_bias", "outer"))
    values = standardised(arrays, tokens).reshape(len(tokens), -1).astype(np.float32)
    flat = inner.reshape(-1, inner.shape[-1])
    # Picture by picture: a score does not depend on the other rows.
    units = (np.maximum((flat @ row).reshape(bias.shape) + bias, 0) for row in values)
    logits = [(np.sum(found * outer, axis=1) + arrays["outer_bias"]).mean(dtype=np.float64) for found in units]
    return np.array(logits, dtype=np.float64)


def fit(
    tokens: NDArray[Any], labels: NDArray[np.int8], weights: NDArray[np.float64], hidden: Hidden, seed: int
) -> dict[str, NDArray[Any]]:
    """Fit all members by AdamW on weighted cross-entropy, with dropout and mixup (arXiv 1710.09412).

    Parameters
    ----------
    tokens : numpy.ndarray, shape (n, crops, d)
    labels : numpy.ndarray, shape (n,)
        0 real, 1 generated.
    weights : numpy.ndarray, shape (n,)
        Above 0.
    hidden : Hidden
    seed : int
        At least 0; of first weights, batches, dropout and mixup.
    """
    centre, deviation = moments(tokens, weights)
    moment = {"centre": centre.astype(np.float32), "deviation": deviation.astype(np.float32)}
    values = standardised(moment, tokens).reshape(len(tokens), -1).astype(np.float32)
    even = (weights / weights.mean()).astype(np.float32)
    members = [
        _member(values, labels.astype(np.float32), even, hidden, np.random.default_rng((seed, number)))
        for number in range(hidden.members)
    ]
    names = NAMES[2:]
    fitted = {name: np.stack([member[place] for member in members]) for place, name in enumerate(names)}
    return {**moment, **fitted, "inner": fitted["inner"].astype(np.float16)}


def _member(
    values: Array, labels: Array, weights: Array, hidden: Hidden, random: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """Return (units, d), (units,), (units,) and () of one network."""
    width = values.shape[1]
    parameters = [
        random.normal(0, (2 / width) ** 0.5, (width, hidden.units)).astype(np.float32),
        np.zeros(hidden.units, np.float32),
        random.normal(0, hidden.units**-0.5, hidden.units).astype(np.float32),
        np.zeros((), np.float32),
    ]
    moments = [(np.zeros_like(each), np.zeros_like(each)) for each in parameters]
    total = hidden.epochs * -(-len(values) // hidden.batch)
    batches = _batches(values, labels, weights, hidden, random)
    for step, (x, y, weight) in enumerate(batches, start=1):
        gradients = _gradients(parameters, x, y, weight, hidden.dropout, random)
        rate = hidden.rate * 0.5 * (1 + np.cos(np.pi * step / total))
        for number, (gradient, (first, second)) in enumerate(zip(gradients, moments, strict=True)):
            first += (1 - FIRST) * (gradient - first)
            second += (1 - SECOND) * (np.square(gradient) - second)
            scale = np.sqrt(second / (1 - SECOND**step)) + TINY
            decay = hidden.decay * parameters[number] if parameters[number].ndim == 2 else 0
            change = rate * (first / (1 - FIRST**step) / scale + decay)
            parameters[number] = (parameters[number] - change).astype(np.float32)
    inner, inner_bias, outer, outer_bias = (each.astype(np.float32) for each in parameters)
    return np.ascontiguousarray(inner.T), inner_bias, outer, outer_bias


def _batches(
    values: Array, labels: Array, weights: Array, hidden: Hidden, random: np.random.Generator
) -> Iterator[tuple[Array, Array, Array]]:
    """Yield mixed pictures, labels and weights of every batch of every epoch."""
    for _ in range(hidden.epochs):
        order = random.permutation(len(values))
        for at in range(0, len(order), hidden.batch):
            rows = order[at : at + hidden.batch]
            others = random.permutation(rows)
            share = np.float32(random.beta(hidden.mixup, hidden.mixup)) if hidden.mixup else np.float32(1)
            yield (
                share * values[rows] + (1 - share) * values[others],
                share * labels[rows] + (1 - share) * labels[others],
                share * weights[rows] + (1 - share) * weights[others],
            )


def _gradients(
    parameters: list[Array], x: Array, y: Array, weight: Array, dropout: float, random: np.random.Generator
) -> list[Array]:
    inner, inner_bias, outer, outer_bias = parameters
    before = x @ inner + inner_bias
    kept = (random.random(before.shape, np.float32) >= dropout).astype(np.float32) / np.float32(1 - dropout)
    units = np.maximum(before, 0) * kept
    logits = units @ outer + outer_bias
    error = (0.5 * (1 + np.tanh(0.5 * logits)) - y) * weight / np.float32(len(y))
    back = np.outer(error, outer).astype(np.float32) * kept * (before > 0)
    return [x.T @ back, back.sum(axis=0), units.T @ error, np.asarray(error.sum())]
