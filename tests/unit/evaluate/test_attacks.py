"""Attacks, and patches pasted into photographs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from d2f_jpeg import Jpeg
from d2f_noise import Noise, NoiseOptions
from PIL import Image

from d2f import D2FError, Failure, ImageFile, NoOptions, WeightsMissing, load_chain
from d2f.data.dataset import load_dataset
from d2f.data.protocol import for_fitting, for_judging
from d2f.engine.plan import Step, step_seed
from d2f.engine.views import apply_steps
from d2f.evaluate.attacks import CLEAN, CORE, FULL, Attack, attack_set, attacked, read_attacks
from d2f.evaluate.score import copies_of
from d2f.evaluate.splice import SIZES, excess, run_splice, splice, splice_figures, splice_table
from d2f.explain.map import HeatMap, cell_edges
from d2f.images.read import Unread
from d2f.plugins.catalog import Catalog
from tests.unit.chain import stages
from tests.unit.evaluate.bench_toys import ALL
from tests.unit.evaluate.toys import catalog


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
    made = attacked(attack, image)
    assert np.array_equal(made.pixels, attacked(attack, image).pixels)
    step = attack.steps[0]
    noise = Noise(NoiseOptions(sigma=5))
    assert np.array_equal(made.pixels, noise.apply(image.pixels, step_seed(image.seed, 0, step.key)))
    assert step_seed(made.seed, 0, step.key) != step_seed(image.seed, 0, step.key)
    assert made.data == image.data


def test_every_image_comes_clean_first_and_then_under_each_attack():
    attacks = read_attacks(["jpeg:60", "noise:2"], CATALOG)
    unread = Unread("gone.png", Failure("D2F301", "gone"))
    found = list(copies_of([picture(0), unread, picture(1)], for_judging("as-found"), attacks))
    assert [image.path for image in found] == ["0.png"] * 3 + ["gone.png"] * 3 + ["1.png"] * 3
    assert found[0].pixels is not None
    assert np.array_equal(found[0].pixels, picture(0).pixels)
    assert not np.array_equal(found[1].pixels, found[0].pixels)
    assert CLEAN == "none"


def test_an_attack_that_fails_costs_its_own_copy():
    good, bad = read_attacks(["jpeg:60"], CATALOG)[0], Attack("breaks", (Step("breaks", Breaks()),))
    clean, broken, fine = copies_of([picture()], for_judging("as-found"), [bad, good])
    assert isinstance(broken, Unread)
    assert broken.failure.code == "D2F404"
    assert clean.pixels.shape == fine.pixels.shape


def test_protocols_standardise_images_or_leave_them():
    image = picture()
    assert for_judging("as-found")(image) is image
    assert for_fitting("as-found", 0)(image) is image
    assert for_judging("crop")(image).pixels.shape == (320, 320, 3)
    assert for_fitting("crop", 1)(image).data != for_fitting("crop", 2)(image).data


def sizes(name, side):
    image = picture(side=side)
    (attack,) = [attack for attack in attack_set("full", (), catalog(*ALL)).attacks if attack.name == name]
    return apply_steps(image, attack.steps).shape[:2]


def test_the_grids_are_those_of_the_protocol():
    assert list(CORE) == [
        *("wiener-7", "wiener-7+noise-2", "noise-5", "jpeg-60", "webp-80", "resize-0.5", "gaussian-blur-1", "hard"),
        *("grey", "scan", "messenger", "enlarge-4", "thumbnail-160", "caption", "shift"),
    ]
    assert len(FULL) == 33
    chosen = attack_set("full", (), catalog(*ALL))
    assert [attack.name for attack in chosen.attacks] == list(FULL)
    assert len({attack.spec for attack in chosen.attacks}) == 33


def test_scales_of_hard_and_web_and_their_caps():
    assert sizes("hard", 320) == (224, 224)
    assert sizes("web", 320) == (256, 256)
    assert sizes("hard", 1000) == (512, 512)
    assert sizes("web", 1000) == (768, 768)
    assert sizes("resize-1.25", 320) == sizes("thumbnail-128", 320) == (320, 320)


def test_a_spec_of_the_grid_keeps_its_short_name():
    chosen = attack_set("core", ("wiener:7", "jpeg:61", "jpeg:quality=61"), catalog(*ALL))
    assert [attack.name for attack in chosen.attacks] == [*CORE, "jpeg:quality=61"]
    with pytest.raises(D2FError, match="jpegg"):
        attack_set("core", ("jpegg:60",), catalog(*ALL))


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


def test_the_autoencoder_has_a_row_where_its_weights_are():
    chosen = attack_set("core", (), catalog(*ALL, Autoencoder))
    assert chosen.attacks[-1].name == "autoencoder"
    assert chosen.optional == {"autoencoder"}
    chosen = attack_set("core", (), catalog(*ALL, Lacking))
    assert len(chosen.attacks) == len(CORE)
    assert chosen.notes == ("no row for 'autoencoder': weights are not here; fetch them: d2f weights pull toy",)
    assert attack_set("none", (), Catalog.of(Autoencoder)).attacks == ()


# Patches pasted into photographs, and whether a map finds them.

GREY = (
    "d2f: 1\nname: grey\ndetectors: [{use: noise-statistics}]\n"
    "calibrate: {noise-statistics/plain: {use: platt, with: {slope: 0.05, bias: -5}}}\n"
)


@pytest.fixture
def dark_and_bright(tmp_path: Path) -> Path:
    """Photographs are dark, generated pictures are bright."""
    random = np.random.default_rng(0)
    for label, level in (("real", 60), ("generated/g", 180)):
        (tmp_path / label).mkdir(parents=True)
        for number in range(4):
            pixels = random.normal(level, 12, (96, 128, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    return tmp_path


def test_a_patch_lies_where_it_is_said_to() -> None:
    dark, bright = np.full((120, 160, 3), 20, np.uint8), np.full((90, 90, 3), 220, np.uint8)
    pixels, share, size = splice(dark, bright, np.random.default_rng(3))
    assert size in SIZES
    assert share.max() == 1.0
    assert (share > 0).sum() == min(round(size * 120), 90) ** 2
    assert pixels[share == 1.0].mean() > 210
    assert pixels[share == 0.0].mean() < 35  # JPEG's ringing beside the edge
    assert 20 < pixels[(share > 0.3) & (share < 0.7)].mean() < 220


def test_excess_counts_reliable_cells_only() -> None:
    side = 40
    rows = columns = cell_edges(120, side)
    values, mask = np.zeros((12, 12)), np.zeros((12, 12), np.uint8)
    values[:4, :4] = 2.0
    share = np.zeros((120, 120))
    share[:40, :40] = 1.0
    assert (len(rows), len(columns)) == (13, 13)
    assert excess(HeatMap("tiles", values, mask, side), share) == 2.0
    mask[0, 0], values[0, 0] = 1, 100.0
    assert excess(HeatMap("tiles", values, mask, side), share) == 2.0
    assert excess(HeatMap("tiles", values, np.ones_like(mask), side), share) is None


def test_a_chain_that_can_see_the_patch_finds_it(dark_and_bright: Path, tmp_path: Path) -> None:
    (tmp_path / "chain.yaml").write_text(GREY)
    catalog = Catalog.of(*stages.STAGES)
    chain = load_chain(tmp_path / "chain.yaml", catalog=catalog)
    images = load_dataset(str(dark_and_bright))
    kept = tmp_path / "kept.jsonl"
    outcomes = run_splice(chain, images, "whole", 0, None, str(kept))
    found = {(one.kind, one.patch): one for one in splice_figures(chain, outcomes, images, 20, 0) if one.size is None}
    assert found["tiles", "generated"].share == 1.0
    assert found["tiles", "generated"].images == 4
    assert found["tiles", "photograph"].share is not None
    assert found["tiles", "photograph"].share < 1.0
    assert splice_table(list(found.values())).text()[1].split()[:5] == ["grey", "tiles", "generated", "all", "4"]
    # A run that was killed while it wrote goes on with what is whole.
    lines = kept.read_text().splitlines()
    kept.write_text("\n".join([*lines[:-4], '{"made": ["']) + "\n")
    again = run_splice(chain, images, "whole", 0, None, str(kept))
    assert sorted(map(repr, again)) == sorted(map(repr, outcomes))
    assert len({json.loads(line)["path"] for line in kept.read_text().splitlines() if line.endswith("}")}) == 4
    # What was measured of more pictures, or with another seed, is not counted.
    assert {one.path for one in run_splice(chain, images, "whole", 0, 2, str(kept))} < {one.path for one in outcomes}
    assert run_splice(chain, images, "whole", 1, 2, str(kept)) == run_splice(chain, images, "whole", 1, 2)
