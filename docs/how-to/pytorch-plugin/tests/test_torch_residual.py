from __future__ import annotations

import numpy as np
from d2f_torch_residual.detector import TorchResidual, TorchResidualOptions

from d2f.testing import camera_picture, check_stage, upsampled_picture


def test_it_keeps_the_contract() -> None:
    print(check_stage(TorchResidual))


def test_it_tells_simulated_pictures_apart() -> None:
    detector = TorchResidual(TorchResidualOptions())
    detector.load()
    made = [make(128, 128, seed=100 + i) for make in (camera_picture, upsampled_picture) for i in range(4)]
    logits = detector.score(np.stack(made))
    assert max(logits[:4]) < min(logits[4:])
