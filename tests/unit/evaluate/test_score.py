"""Sets scored by way of the cache: the same table as without, and nothing computed twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

import d2f.cache
from d2f import Abstention, NoOptions, Weights, WholeImage
from d2f.api.errors import WeightsMissing
from d2f.cache import caching
from d2f.data.dataset import load_dataset
from d2f.data.protocol import for_fitting, for_judging
from d2f.engine.plan import FileCheck
from d2f.evaluate.attacks import read_attacks
from d2f.evaluate.fit import FitRequest, fit_chain
from d2f.evaluate.score import score_keys, score_table
from d2f.evaluate.stability import _changed_copies, stability_steps
from tests.unit.evaluate.toys import toy_chain, write_set

CHAIN = """\
d2f: 1
name: toy
views:
  blurred: [{use: gaussian-blur, with: {sigma: 0.6}}]
  noisy: [{use: noise, with: {sigma: 3}}]
detectors:
  - {id: mean, use: mean, views: [plain, noisy]}
  - {id: shy, use: noise-level, with: {silent_above: 5.0}}
combine: {use: logistic}
"""
MORE = CHAIN.replace("views: [plain, noisy]", "views: [plain, blurred, noisy]")
ATTACKS = ("noise:sigma=2",)
QUICK = FitRequest(attacks=ATTACKS, folds=3, today=date(2026, 11, 21), workers=1)


class Mean:
    """The mean of a picture; remembers how many it was shown, and fails, or lacks its weights, on demand."""

    name = "mean"
    summary = "A toy."
    Options = NoOptions
    wants = WholeImage()
    weights: tuple[Weights, ...] = ()
    shown = 0
    broken = False
    absent = False

    def __init__(self, options):
        pass

    def load(self):
        if Mean.absent:
            raise WeightsMissing.of("D2F502", "no weights here")

    def score(self, batch):
        Mean.shown += len(batch)
        if Mean.broken:
            raise ValueError("broken today")
        return [float(pixels.mean()) for pixels in batch]


class Breaks:
    name = "breaks"
    summary = "A toy that cannot."
    Options = NoOptions

    def __init__(self, options):
        pass

    def apply(self, pixels, seed):
        raise RuntimeError("no")


@pytest.fixture(autouse=True)
def fresh():
    Mean.shown, Mean.broken, Mean.absent, Mean.weights = 0, False, False, ()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    write_set(folder, 12, collections=4)
    return load_dataset(folder)


def chain(folder, text=CHAIN):
    return toy_chain(folder, text, True, Mean)


def kept(folder, images, text=CHAIN, attacks=ATTACKS, seed=0, protocol="crop", tick=None):
    """Return the table by way of the cache, and how many views the detector `mean` was shown for it."""
    loaded, before = chain(folder, text), Mean.shown
    applied = read_attacks(attacks, loaded.catalog)
    with caching(folder / "cache") as cache:
        plan = allowing(loaded.plan)
        table = score_table(plan, images, for_fitting(protocol, seed), applied, cache=cache, workers=1, tick=tick)
    return table, Mean.shown - before


def plainly(folder, images, text=CHAIN, attacks=ATTACKS, seed=0, protocol="crop"):
    loaded = chain(folder, text)
    applied = read_attacks(attacks, loaded.catalog)
    return score_table(allowing(loaded.plan), images, for_fitting(protocol, seed), applied, workers=1)


def allowing(plan):
    """Let stages without their weights through, as `--allow-missing` does."""
    return replace(plan, allow_missing=True)


def same(one, other):
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.refused, other.refused)
    bare = [replace(table, scores=None, refused=None, cached=0) for table in (one, other)]
    assert bare[0] == bare[1]


def test_the_table_is_the_same_and_the_second_run_computes_nothing(images, tmp_path):
    expected = plainly(tmp_path, images)
    first, shown = kept(tmp_path, images)
    assert shown == 24 * 2 * 2
    again, shown = kept(tmp_path, images)
    assert shown == 0
    same(first, expected)
    same(again, expected)
    assert 0 < np.isnan(again.scores[:, :, 2]).mean() < 1


def test_the_fitted_file_is_the_same_to_the_byte(images, tmp_path):
    with caching(tmp_path / "cache") as cache:
        keeping = replace(QUICK, cache=cache)
        texts = [fit_chain(chain(tmp_path), images, request).text for request in (QUICK, keeping, keeping)]
    assert texts[0] == texts[1] == texts[2]
    # Scored twice, 24 images, as found, attacked and cut by a pixel, under two views.
    assert Mean.shown == 2 * 24 * 3 * 2


def test_a_new_view_costs_only_its_own_members(images, tmp_path):
    kept(tmp_path, images)
    table, shown = kept(tmp_path, images, MORE)
    assert shown == 24 * 2
    same(table, plainly(tmp_path, images, MORE))
    table, shown = kept(tmp_path, images, CHAIN.replace("{id: mean, use: mean, views: [plain, noisy]}", "{use: mean}"))
    assert shown == 0
    assert table.members == ("mean/plain", "shy/plain")


def test_new_attacks_and_images_cost_only_themselves(images, tmp_path):
    few = images.select(range(10))
    kept(tmp_path, few)
    attacks = ("jpeg:quality=60", *ATTACKS)
    table, shown = kept(tmp_path, few, attacks=attacks)
    assert shown == 10 * 2
    same(table, plainly(tmp_path, few, attacks=attacks))
    table, shown = kept(tmp_path, images, MORE, attacks)
    # Of the ten, one view under three copies; of the fourteen others, three views.
    assert shown == 10 * 3 + 14 * 3 * 3
    same(table, plainly(tmp_path, images, MORE, attacks))


def test_what_a_run_that_was_ended_has_scored_is_not_scored_again(images, tmp_path):
    ticks = []

    def tick():
        ticks.append(None)
        if len(ticks) == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path, images, tick=tick)
    ticks += [None] * 100
    table, shown = kept(tmp_path, images, tick=tick)
    assert shown == (24 - 9) * 2 * 2
    assert len(ticks) == 9 + 100 + 24
    same(table, plainly(tmp_path, images))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"protocol": "as-found"},
        {"text": CHAIN.replace("sigma: 3", "sigma: 4")},
        {"attacks": ("noise:sigma=2.5",)},
    ],
)
def test_whatever_a_score_depends_on_makes_it_anew(images, tmp_path, change):
    kept(tmp_path, images)
    table, shown = kept(tmp_path, images, **change)
    assert shown > 0
    same(table, plainly(tmp_path, images, **change))


def test_other_weights_or_another_file_of_the_same_name_are_not_the_same(images, tmp_path):
    kept(tmp_path, images)
    Mean.weights = (Weights(name="mean/a", sha256="ab" * 32, licence="MIT", sources=(), description="Toy."),)
    assert kept(tmp_path, images)[1] == 24 * 2 * 2
    write_set(tmp_path / "set", 12, collections=4)
    moved = load_dataset(tmp_path / "set")
    assert kept(tmp_path, moved)[1] == 0
    shutil.copy(moved[1].path, moved[0].path)
    assert kept(tmp_path, moved)[1] == 0
    write_set(tmp_path / "set", 12, collections=4, seed=5)
    assert kept(tmp_path, moved)[1] == 24 * 2 * 2


def test_without_a_seed_in_the_protocol_the_seed_is_no_matter(images, tmp_path):
    kept(tmp_path, images, protocol="as-found", seed=0)
    assert kept(tmp_path, images, protocol="as-found", seed=1)[1] == 0


def test_errors_are_not_kept(images, tmp_path):
    Mean.broken = True
    table, _ = kept(tmp_path, images)
    assert len(table.failed) == 24 * 2 * 2
    same(table, plainly(tmp_path, images))
    Mean.broken = False
    table, shown = kept(tmp_path, images)
    assert shown == 24 * 2 * 2
    same(table, plainly(tmp_path, images))


def test_missing_weights_are_not_kept_and_keep_nothing_from_being_read(images, tmp_path):
    Mean.absent = True
    table, shown = kept(tmp_path, images)
    assert shown == 0
    assert np.isnan(table.scores[:, :, :2]).all()
    same(table, plainly(tmp_path, images))
    Mean.absent = False
    assert kept(tmp_path, images)[1] == 24 * 2 * 2
    Mean.absent = True
    same(kept(tmp_path, images)[0], table)
    alone = CHAIN[: CHAIN.index("  - {id: shy")]
    same(kept(tmp_path, images, alone)[0], plainly(tmp_path, images, alone))


def test_damaged_files_and_failing_attacks_are_told_as_without(tmp_path):
    write_set(tmp_path / "set", 12, collections=4)
    images = load_dataset(tmp_path / "set")
    (tmp_path / "set/real/hands0/0.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    attacks = ("breaks", *ATTACKS)
    loaded = toy_chain(tmp_path, CHAIN, True, Mean, Breaks)
    applied = read_attacks(attacks, loaded.catalog)
    expected = score_table(loaded.plan, images, for_fitting("as-found", 0), applied, workers=1)
    assert (len(expected.unread), len(expected.failed)) == (1, 23)
    for _ in range(2):
        with caching(tmp_path / "cache") as cache:
            table = score_table(loaded.plan, images, for_fitting("as-found", 0), applied, cache=cache, workers=1)
        same(table, expected)


def test_a_stage_without_identity_is_scored_each_time(images, tmp_path):
    loaded = chain(tmp_path)
    plan = replace(loaded.plan, detectors=tuple(replace(one, key="") for one in loaded.plan.detectors))
    for count in (1, 2):
        with caching(tmp_path / "cache") as cache:
            score_table(plan, images, for_fitting("as-found", 0), cache=cache, workers=1)
        assert Mean.shown == count * 24 * 2


def test_an_abstention_is_stored_with_its_reason(images, tmp_path):
    kept(tmp_path, images)
    with caching(tmp_path / "cache") as cache:
        values = [value for (value,) in cache._file.execute("SELECT value FROM rows")]
    assert {value for value in values if len(value) != 8} == {f"abstained: {Abstention('too noisy').reason}".encode()}


def test_a_detector_whose_code_changed_is_scored_anew(images, tmp_path, monkeypatch):
    """Same name, options and weights, its sign turned: yesterday's scores must not come back."""
    before, _ = kept(tmp_path, images)
    monkeypatch.setattr(Mean, "score", lambda self, batch: [-float(pixels.mean()) for pixels in batch])
    monkeypatch.setattr("d2f.cache.code_digest", lambda stage: f"edited {stage.__module__}")
    after, _ = kept(tmp_path, images)
    np.testing.assert_array_equal(after.scores[:, :, :2], -before.scores[:, :, :2])


@pytest.mark.parametrize("what", ["version", "library", "precision", "preprocessor"])
def test_another_version_library_precision_or_preprocessor_is_another_score(images, tmp_path, monkeypatch, what):
    kept(tmp_path, images)
    if what == "version":
        monkeypatch.setattr("d2f.cache.__version__", "0.0.0")
    elif what == "library":
        monkeypatch.setattr("d2f.cache.environment", lambda: ["numpy 99"])
    elif what == "precision":
        monkeypatch.setattr(Mean, "precision", "bfloat16", raising=False)
    else:
        own = d2f.cache.code_digest
        edited = lambda stage: own(stage) + ("x" if "noise" in stage.__module__ else "")  # noqa: E731
        monkeypatch.setattr("d2f.cache.code_digest", edited)
    # The edited preprocessor stands in one of two views and in the attack: three of four copies of a view.
    assert kept(tmp_path, images)[1] == 24 * (3 if what == "preprocessor" else 4)


@pytest.mark.parametrize("edited", ["shift", "noise"])
def test_scores_of_a_small_change_are_known_by_its_code_and_that_of_the_attack_before_it(tmp_path, monkeypatch, edited):
    loaded = chain(tmp_path)
    (attack,), step = read_attacks(ATTACKS, loaded.catalog), stability_steps(loaded)[0]
    changed = _changed_copies(for_judging("as-found"), attack, step)
    before = score_keys(loaded.plan, changed, ())
    own, stage = d2f.cache.code_digest, step.stage if edited == "shift" else attack.steps[0].stage
    monkeypatch.setattr("d2f.cache.code_digest", lambda each: own(each) + ("x" if each is stage else ""))
    after = score_keys(loaded.plan, changed, ())
    assert before.keys() == after.keys() != set()
    assert not set(before.values()) & set(after.values())


class Bright:
    """A precondition: no picture that is darker than a limit."""

    name = "bright"
    summary = "A toy."
    Options = NoOptions

    def __init__(self, limit):
        self.options = limit

    def check(self, image):
        return Abstention("too dark") if image.pixels.mean() < self.options else None


def test_a_refused_copy_has_no_scores_and_the_reason_is_cached_with_its_options(images, tmp_path):
    loaded = chain(tmp_path)
    checks = [FileCheck("precondition", "bright", Bright(limit), f"bright {limit}") for limit in (120, 130)]
    plain = score_table(loaded.plan, images, for_fitting("as-found", 0), workers=1)
    for check in checks:
        guarded = replace(loaded.plan, require=(check,))
        for _ in range(2):
            with caching(tmp_path / "cache") as cache:
                found = score_table(guarded, images, for_fitting("as-found", 0), cache=cache, workers=1)
            dark = plain.scores[:, 0, 0] < check.stage.options
            assert 0 < dark.mean() < 1
            assert found.members == plain.members
            np.testing.assert_array_equal(found.refused[:, 0], dark)
            assert np.isnan(found.scores[dark]).all()
            np.testing.assert_array_equal(found.scores[~dark], plain.scores[~dark])
