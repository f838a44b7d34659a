import hashlib

import numpy as np
import pytest
from d2f_jpeg.stage import Jpeg
from d2f_noise.stage import Noise, NoiseOptions

from d2f import D2FError, Failure, ImageFile
from d2f.data.protocol import for_fitting, for_judging
from d2f.engine.plan import Step, step_seed
from d2f.evaluate.score import CLEAN, Attack, copies, lay, read_attacks
from d2f.images.read import Unread
from d2f.plugins.catalog import Catalog


def picture(seed=0, side=400):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    data = pixels.tobytes()[:99]
    return ImageFile(f"{seed}.png", data, hashlib.sha256(data).hexdigest(), "PNG", side, side, pixels)


class Breaks:
    name = "breaks"

    def apply(self, pixels, seed):
        raise RuntimeError("no")


CATALOG = Catalog.of(Jpeg, Noise)


def test_specs_are_read_once_each_and_spelled_out():
    attacks = read_attacks(["jpeg:60", "noise:2+jpeg:quality=60", "jpeg:quality=60"], CATALOG)
    assert [attack.name for attack in attacks] == ["jpeg:quality=60", "noise:sigma=2+jpeg:quality=60"]
    assert len(attacks[1].steps) == 2
    with pytest.raises(D2FError):
        read_attacks(["jpegg:60"], CATALOG)


def test_an_attack_repeats_and_a_view_of_the_same_steps_draws_anew():
    image = picture()
    (attack,) = read_attacks(["noise:sigma=5"], CATALOG)
    laid = lay(attack, image)
    assert np.array_equal(laid.pixels, lay(attack, image).pixels)
    step = attack.steps[0]
    noise = Noise(NoiseOptions(sigma=5))
    assert np.array_equal(laid.pixels, noise.apply(image.pixels, step_seed(image.seed, 0, step.key)))
    assert step_seed(laid.seed, 0, step.key) != step_seed(image.seed, 0, step.key)
    assert laid.data == image.data


def test_every_image_comes_clean_first_and_then_under_each_attack():
    attacks = read_attacks(["jpeg:60", "noise:2"], CATALOG)
    unread = Unread("gone.png", Failure("D2F301", "gone"))
    found = list(copies([picture(0), unread, picture(1)], for_judging("as-found"), attacks))
    assert [image.path for image in found] == ["0.png"] * 3 + ["gone.png"] * 3 + ["1.png"] * 3
    assert found[0].pixels is not None
    assert np.array_equal(found[0].pixels, picture(0).pixels)
    assert not np.array_equal(found[1].pixels, found[0].pixels)
    assert CLEAN == "none"


def test_an_attack_that_fails_costs_its_own_copy():
    good, bad = read_attacks(["jpeg:60"], CATALOG)[0], Attack("breaks", (Step("breaks", Breaks()),))
    clean, broken, fine = copies([picture()], for_judging("as-found"), [bad, good])
    assert isinstance(broken, Unread)
    assert broken.failure.code == "D2F404"
    assert clean.pixels.shape == fine.pixels.shape


def test_protocols_bring_images_alike_or_leave_them():
    image = picture()
    assert for_judging("as-found")(image) is image
    assert for_fitting("as-found", 0)(image) is image
    assert for_judging("crop")(image).pixels.shape == (320, 320, 3)
    assert for_fitting("crop", 1)(image).data != for_fitting("crop", 2)(image).data
