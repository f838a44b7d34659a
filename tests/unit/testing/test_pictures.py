"""Seeded pictures, files and the labelled set: the same in every run, and of the kinds that they say."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f.data.dataset import load_dataset
from d2f.testing import (
    camera_picture,
    flat_pictures,
    hard_pictures,
    image_file,
    ordinary_pictures,
    pictures,
    upsampled_picture,
    write_labelled_set,
)


def test_they_are_read_only_views() -> None:
    for picture in pictures().values():
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        assert not picture.flags.writeable


def test_kinds() -> None:
    shapes = {picture.shape[:2] for picture in pictures().values()}
    assert {(1, 1), (1, 7), (7, 1), (256, 256), (173, 251)} <= shapes
    assert all(picture.std(axis=(0, 1)).max() == 0 for picture in flat_pictures(9, 4).values())
    assert len(hard_pictures()) == 10
    assert set(np.unique(ordinary_pictures(64, 64)["text"])) == {0, 255}


def test_another_process_makes_the_same() -> None:
    program = (
        "from d2f.testing import pictures; import hashlib\n"
        "print(hashlib.sha256(b''.join(one.tobytes() for one in pictures().values())).hexdigest())"
    )
    here = hashlib.sha256(b"".join(one.tobytes() for one in pictures().values())).hexdigest()
    env = {**os.environ, "PYTHONHASHSEED": "5"}
    assert (
        subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True).stdout.strip() == here
    )


def test_a_camera_s_noise_grows_with_light() -> None:
    """Shot noise: the variance of neighbours' differences, in linear light, rises with the level."""
    linear = (camera_picture(512, 512, seed=3) / 255.0) ** 2.2
    level = (linear[1:, :, 1] + linear[:-1, :, 1]) / 2
    change = np.abs(linear[1:, :, 1] - linear[:-1, :, 1])
    dark, bright = np.median(change[level < 0.3]), np.median(change[level > 0.6])
    assert bright > 1.2 * dark


def test_enlarging_leaves_a_lattice_and_a_camera_none() -> None:
    """Power at the frequency 1/2 of second differences (Gallagher 2005) over that of its neighbours."""

    def lattice(picture: np.ndarray) -> float:
        second = np.abs(np.diff(picture[..., 1].astype(float), n=2, axis=1)).mean(axis=0)
        power = np.abs(np.fft.rfft(second - second.mean()))
        return float(power[-1] / np.median(power))

    for seed in range(3):
        assert lattice(upsampled_picture(256, 256, seed)) > 3 * lattice(camera_picture(256, 256, seed))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_files(form: str, tmp_path: Path) -> None:
    from d2f.images.read import read_image

    made = image_file(camera_picture(40, 56), "one", form)
    path = tmp_path / made.path
    path.write_bytes(made.data)
    read = read_image(str(path))
    assert (read.sha256, read.format, read.width, read.height) == (made.sha256, form, 56, 40)
    assert np.array_equal(read.pixels, made.pixels)


def test_labelled_set(d2f_labelled_set: Path) -> None:
    images = load_dataset(d2f_labelled_set)
    assert images.describe() == "24 images: 12 real, 12 generated, 4 collections"
    for image in images:
        with Image.open(image.path) as opened:
            assert (opened.format, opened.size) == ("JPEG", (256, 256))


def test_sets_of_other_seeds_share_nothing(tmp_path: Path) -> None:
    def digests(folder: Path) -> set[str]:
        return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.jpg")}

    one, other = (write_labelled_set(tmp_path / str(seed), 2, 32, 32, seed) for seed in (0, 1))
    assert len(digests(one)) == 4
    assert digests(one) & digests(other) == set()


def test_written_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "d2f.testing", "labelled-set", "small", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("wrote 1 real and 1 generated pictures to small\n", "")
    assert len(list((tmp_path / "small").rglob("*.jpg"))) == 2
