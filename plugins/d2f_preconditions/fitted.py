"""Weights and limit of `photographic`; written by docs/make_preconditions.py."""

from __future__ import annotations


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split())


PHOTOGRAPHIC = {
    "middle": _numbers("-0.228 -3.234 -1.311 -1.725 -2.272 -0.4335 1.837 -0.3842 0.4816 0.02352 1.055 0.1981 -0.4067"),
    "scale": _numbers("1.153 1.953 0.5559 0.8797 0.4701 0.2933 0.724 0.0878 0.09528 0.0331 0.2325 1.183 0.1691"),
    "linear": _numbers(
        "0.7599 0.3904 0.7669 -0.08379 0.02868 -0.4216 0.5982 -0.2136 -0.3915 0.5674 0.009324 0.7595 -0.03255"
    ),
    "square": _numbers(
        "0.0444 0.4305 0.08465 -0.04615 0.00264 0.3467 -0.3001 0.001628 0.2055 0.07546 0.2391 0.3528 0.1049"
    ),
    "bias": _numbers("-6.985"),
}
"""Scaling, weights and bias of `d2f_preconditions.graphics.graphics_score`, in the order of its `WORDS`."""

PHOTOGRAPHIC_LIMIT = 2.15
"""Score that 0.7% of 1200 colour photographs reach, out of fold by collection."""
