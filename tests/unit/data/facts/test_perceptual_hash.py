import io

import numpy as np
from PIL import Image
from scipy.fft import dctn

from d2f.data.facts import perceptual_hash
from d2f.testing import camera_picture


def distance(first, second):
    return (first ^ second).bit_count()


def test_the_bits_are_those_of_scipys_transform():
    picture = camera_picture(200, 300, seed=3)
    grey = np.asarray(Image.fromarray(picture).convert("L").resize((32, 32), Image.Resampling.BOX), dtype=float)
    low = dctn(grey, norm="ortho")[1:9, 1:9].ravel()
    # The orthonormal form scales all frequencies above 0 alike.
    bits = "".join("1" if value > np.median(low) else "0" for value in low)
    assert perceptual_hash(picture) == int(bits, 2)


def test_copies_are_near_and_other_pictures_far():
    pictures = [camera_picture(256, 320, seed=seed) for seed in range(12)]
    hashes = [perceptual_hash(picture) for picture in pictures]
    for picture, found in zip(pictures, hashes, strict=True):
        buffer = io.BytesIO()
        image = Image.fromarray(picture)
        image.resize((240, 192), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=60)
        assert distance(found, perceptual_hash(np.asarray(Image.open(buffer)))) <= 6
    others = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(others) > 6


def test_flat_pictures_have_no_hash():
    assert perceptual_hash(np.full((64, 64, 3), 200, np.uint8)) is None
    assert perceptual_hash(np.full((1, 1, 3), 200, np.uint8)) is None
