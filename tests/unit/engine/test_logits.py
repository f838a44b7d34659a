"""Log-odds against SciPy."""

from __future__ import annotations

import numpy as np
from scipy import special

from d2f.engine.findings import clipped, expit, logit


def test_logit_and_expit() -> None:
    probabilities = np.concatenate([np.geomspace(1e-6, 0.5, 200), 1 - np.geomspace(1e-6, 0.5, 200)])
    np.testing.assert_allclose(logit(probabilities), special.logit(probabilities), rtol=1e-9, atol=1e-12)
    ratios = np.concatenate([np.linspace(-800, 800, 999), [0.0, np.nan]])
    np.testing.assert_allclose(expit(ratios), special.expit(ratios), rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(expit(logit(probabilities)), probabilities, rtol=1e-12)


def test_clipping_keeps_nan() -> None:
    np.testing.assert_array_equal(clipped(np.array([0.0, 0.5, 1.0, np.nan])), [1e-6, 0.5, 1 - 1e-6, np.nan])
