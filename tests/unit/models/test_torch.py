"""The networks against PyTorch on the same weights; run with ``pytest -m torch``."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from d2f.models import build_model, from_published, load_arrays
from tests.unit.models import state_dicts
from tests.unit.models.cases import CASES, Case
from tests.unit.models.seeded import pictures, state_dict
from tests.unit.models.test_forward import STORED, close

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module", autouse=True)
def needs_torch() -> None:
    pytest.importorskip("torch")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_forward(case: Case) -> None:
    from tests.unit.models.torch_forward import forward

    wanted = forward(case)
    assert close(case.outputs(), wanted)
    assert close(np.array(STORED[case.name]), wanted[:, :5])


def test_a_whole_vgg_of_timm_s() -> None:
    import torch

    from tests.unit.models.torch_forward import vgg

    state = state_dict(state_dicts.vgg(11))
    # timm's hidden layers hold torchvision's numbers as convolutions over the whole map.
    named = zip(state_dicts.vgg(11, timm=True).items(), state.values(), strict=True)
    found = from_published({name: array.reshape(shape) for (name, shape), array in named}, "timm")
    model = build_model(found.config).eval()
    load_arrays(model, found.arrays)
    x = pictures("vgg-11", (1, 3, 64, 64))
    with torch.no_grad():
        wanted = vgg(torch.from_numpy(x), {name: torch.from_numpy(one) for name, one in state.items()}, 11).numpy()
    assert close(np.array(model(mx.array(x.transpose(0, 2, 3, 1)))), wanted)
