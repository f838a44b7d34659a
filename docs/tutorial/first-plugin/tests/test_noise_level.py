import d2f_noise_level
import numpy as np
import pytest

from d2f.testing import check_stage


def test_contract():
    check_stage(d2f_noise_level.NoiseLevel)


@pytest.mark.parametrize("sigma", [2.0, 8.0])
def test_known_noise(sigma):
    noise = np.random.default_rng(0).normal(128, sigma, (256, 256, 3))
    detector = d2f_noise_level.NoiseLevel(d2f_noise_level.NoiseLevelOptions())
    [found] = detector.score([np.rint(noise).astype(np.uint8)])
    assert np.exp(found.value) == pytest.approx(sigma, rel=0.03)
