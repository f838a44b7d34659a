import numpy as np
import pytest

from d2f import D2FError, WeightsMissing
from d2f.engine.views import apply_steps
from d2f.evaluate.bench_systems import CORE, FULL, lay_out
from d2f.plugins.catalog import Catalog
from tests.unit.bench.toys import ALL, NoOptions
from tests.unit.fitting.toys import catalog
from tests.unit.scoring.test_copies import picture


def sizes(name, side):
    image = picture(side=side)
    (attack,) = [attack for attack in lay_out("full", (), catalog(*ALL)).attacks if attack.name == name]
    return apply_steps(image, attack.steps).shape[:2]


def test_the_grids_are_those_of_the_protocol():
    assert list(CORE) == [
        *("wiener-7", "wiener-7+noise-2", "noise-5", "jpeg-60", "webp-80", "resize-0.5", "gaussian-blur-1", "hard")
    ]
    assert len(FULL) == 26
    laid = lay_out("full", (), catalog(*ALL))
    assert [attack.name for attack in laid.attacks] == list(FULL)
    assert len({attack.spec for attack in laid.attacks}) == 26


def test_scales_of_hard_and_web_and_their_caps():
    assert sizes("hard", 320) == (224, 224)
    assert sizes("web", 320) == (256, 256)
    assert sizes("hard", 1000) == (512, 512)
    assert sizes("web", 1000) == (768, 768)
    assert sizes("resize-1.25", 320) == sizes("thumbnail-128", 320) == (320, 320)


def test_a_spec_of_the_grid_keeps_its_short_name():
    laid = lay_out("core", ("wiener:7", "jpeg:61", "jpeg:quality=61"), catalog(*ALL))
    assert [attack.name for attack in laid.attacks] == [*CORE, "jpeg:quality=61"]
    with pytest.raises(D2FError, match="jpegg"):
        lay_out("core", ("jpegg:60",), catalog(*ALL))


class Autoencoder:
    name = "autoencoder"
    summary = "A toy."
    Options = NoOptions
    missing = False

    def __init__(self, options):
        pass

    def load(self):
        if self.missing:
            raise WeightsMissing.of("D2F502", "weights are not here", "fetch them: d2f weights pull toy")

    def apply(self, pixels, seed):
        return np.ascontiguousarray(pixels[::-1])


class Lacking(Autoencoder):
    missing = True


def test_the_autoencoder_has_a_row_apart_where_its_weights_are():
    laid = lay_out("core", (), catalog(*ALL, Autoencoder))
    assert laid.attacks[-1].name == "autoencoder"
    assert laid.apart == {"autoencoder"}
    laid = lay_out("core", (), catalog(*ALL, Lacking))
    assert len(laid.attacks) == len(CORE)
    assert laid.notes == ("no row for 'autoencoder': weights are not here; fetch them: d2f weights pull toy",)
    assert lay_out("none", (), Catalog.of(Autoencoder)).attacks == ()
