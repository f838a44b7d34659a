"""The transforms of minimal filtering compute a three-tap filter."""

from __future__ import annotations

import numpy as np
import pytest

from d2f.mlx_cpu.forms import matrices, one_axis, two_axes


def test_four_outputs_of_three_taps_from_six_products() -> None:
    inputs, taps, outputs = matrices()
    random = np.random.default_rng(0)
    for _ in range(20):
        signal, filter_taps = random.standard_normal(6), random.standard_normal(3)
        found = outputs @ ((taps @ filter_taps) * (inputs @ signal))
        np.testing.assert_allclose(found, np.correlate(signal, filter_taps, "valid"), rtol=0, atol=1e-12)


def test_sixteen_outputs_of_nine_taps_from_thirty_six_products() -> None:
    from scipy.signal import correlate2d

    inputs, taps, outputs = (np.array(matrix, dtype=float) for matrix in two_axes()[:3])
    random = np.random.default_rng(1)
    picture, kernel = random.standard_normal((6, 6)), random.standard_normal((3, 3))
    found = outputs @ ((taps @ kernel.ravel()) * (inputs @ picture.ravel()))
    np.testing.assert_allclose(found.reshape(4, 4), correlate2d(picture, kernel, "valid"), atol=1e-5)


def test_points_round_less_than_the_customary_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    from d2f.mlx_cpu import forms as minimal

    def error() -> float:
        """Return the root mean square error of single precision in two dimensions, over 64 channels."""
        inputs, taps, outputs = (np.kron(matrix, matrix).astype(np.float32) for matrix in matrices())
        random = np.random.default_rng(2)
        pictures, kernels = random.standard_normal((6, 6, 64, 50)), random.standard_normal((3, 3, 64, 50))
        places = [(a, b) for a in range(4) for b in range(4)]
        exact = np.stack([(pictures[a : a + 3, b : b + 3] * kernels).sum((0, 1, 2)) for a, b in places])
        single = (inputs @ pictures.reshape(36, -1).astype(np.float32)).reshape(36, 64, 50)
        single = single * (taps @ kernels.reshape(9, -1).astype(np.float32)).reshape(36, 64, 50)
        return float(np.sqrt(np.mean((outputs @ single.sum(1) - exact) ** 2)))

    chosen = error()
    monkeypatch.setattr(minimal, "FINITE_POINTS", (0.0, 1.0, -1.0, 2.0, -2.0))
    assert chosen < 0.6 * error()


def test_gradients_use_the_transposes() -> None:
    for transforms in (one_axis(), two_axes()):
        assert np.array_equal(np.array(transforms.taps_back), np.array(transforms.taps).T)
        assert np.array_equal(np.array(transforms.outputs_back), np.array(transforms.outputs).T)
