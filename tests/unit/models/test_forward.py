"""What the networks compute, against NumPy's arithmetic in float64 and against stored outputs of PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from scipy.signal import correlate

from d2f.models import build_model, from_published, load_arrays
from d2f.models.resnet import grid_average
from tests.unit.models import numpy_forward, state_dicts
from tests.unit.models.cases import CASES, Case
from tests.unit.models.seeded import pictures, state_dict

# Made by tests/unit/models/torch_forward.py with PyTorch 2.13 on a CPU; `pytest -m torch` holds them to it.
STORED = json.loads((Path(__file__).parent / "outputs.json").read_text("utf-8"))


def close(found: np.ndarray, wanted: np.ndarray) -> bool:  # type: ignore[type-arg]
    """Whether outputs agree to 1e-4 of their size."""
    return bool(np.max(np.abs(found - wanted)) <= 1e-4 * max(1.0, np.max(np.abs(wanted))))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestEachNetwork:
    def test_numpy(self, case: Case) -> None:
        assert close(case.outputs(), case.reference(pictures(case.name, case.shape), case.state()))

    def test_stored_outputs(self, case: Case) -> None:
        assert close(case.outputs()[:, :5], np.array(STORED[case.name]))


def test_the_authors_own_code_of_a_published_detector() -> None:
    # CNNDetection (Wang et al. 2020, arXiv:1912.11035) is torchvision's ResNet-50 with one logit. These two logits
    # are those of its authors' own PyTorch code, for weights and pictures drawn by the rule in seeded.py.
    state = state_dict(state_dicts.resnet(50, classes=1))
    found = from_published(state, "torchvision")
    model = build_model(found.config)
    load_arrays(model, found.arrays)
    x = mx.array(pictures("cnndetection", (2, 3, 224, 224)).transpose(0, 2, 3, 1))
    logits = np.array(model.eval()(x))
    assert logits.shape == (2,)
    np.testing.assert_allclose(logits, [10.037578582763672, 10.025336265563965], rtol=1e-4)


def test_the_reference_s_convolution_is_scipy_s_correlation() -> None:
    drawn = np.random.default_rng(1)
    x, weight = drawn.standard_normal((1, 3, 9, 8)), drawn.standard_normal((2, 3, 3, 3))
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    wanted = np.array([[correlate(padded, kernel, "valid")[0, ::2, ::2] for kernel in weight]])
    np.testing.assert_allclose(numpy_forward.convolution(x, weight, 2, 1), wanted, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (14, 21), (9, 8), (3, 5), (1, 1)])
def test_grid_average(height: int, width: int) -> None:
    x = np.random.default_rng(2).standard_normal((2, 4, height, width))
    found = np.array(grid_average(mx.array(x.astype(np.float32).transpose(0, 2, 3, 1)), 7))
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), numpy_forward.adaptive_mean(x, 7), atol=1e-6)


@pytest.mark.parametrize(("size", "wanted"), [(28, 7), (7, 2), (2, 1)])
def test_the_small_network_s_maxima(size: int, wanted: int) -> None:
    assert numpy_forward.maximum(np.zeros((1, 1, size, size)), 4, 4, ceil=True).shape[2:] == (wanted, wanted)
