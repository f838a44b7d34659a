"""The stage noise-statistics: its weights, its abstentions, its features and its classifier."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import d2f_noise_statistics
import numpy as np
import pytest
from d2f_noise_statistics import blocks, cooccurrence, exposure, noise, patterns, planes, spectrum, subbands, sums
from d2f_noise_statistics.features import COUNT, features, groups
from d2f_noise_statistics.linear import BOUND, fit, scores
from d2f_noise_statistics.planes import LARGEST
from d2f_noise_statistics.stage import RECORDS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, ndimage, signal, stats

from d2f import D2FError, Detector, EstimatorTrainable, Needs, WholeImage
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.train.read import read_recipe
from d2f.train.recipe import recipe_digest
from d2f.weights import read_weights, write_weights
from tests.plugins.pictures import PHOTOGRAPHS, flat_picture, noise_picture, photograph

# The stage: its weights, its abstentions, and that a score depends on the pixels alone.

FOLDER = Path(d2f_noise_statistics.__file__).parent


def detector(**options):
    stage = build(Catalog.discover(), "detector", "noise-statistics", options)
    stage.load()
    return stage


@pytest.fixture(scope="module")
def loaded():
    return detector()


def test_it_keeps_the_contracts(loaded):
    assert isinstance(loaded, Detector)
    assert loaded.wants == WholeImage()
    assert isinstance(build(Catalog.discover(), "trainable", "noise-statistics", {}), EstimatorTrainable)


def test_photographs_have_finite_scores_that_repeat(loaded):
    pictures = [photograph(name) for name in PHOTOGRAPHS]
    first = loaded.score(pictures)
    assert all(np.isfinite(each) for each in first)
    assert first == loaded.score(pictures)


def test_a_score_does_not_depend_on_the_batch_its_order_or_its_thread(loaded):
    pictures = [photograph(name) for name in PHOTOGRAPHS] + [noise_picture(100, 130, seed) for seed in range(3)]
    together = loaded.score(pictures)
    assert loaded.score(pictures[::-1]) == together[::-1]
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(lambda picture: loaded.score([picture])[0], pictures * 3))
    assert alone == together * 3


def test_pictures_are_not_written_to(loaded):
    picture = photograph().copy()
    loaded.score([picture])
    assert np.array_equal(picture, photograph())


def test_what_it_needs_of_a_view_is_what_its_features_are_of():
    needs = detector().needs
    assert needs == Needs(side=64, deviation=0.5, window=LARGEST)
    trainable = build(Catalog.discover(), "trainable", "noise-statistics", {})
    assert trainable.features(flat_picture(80, 90, 7)) is None
    assert trainable.features(noise_picture(63, 90)) is None
    assert trainable.features(noise_picture(64, 90)) is not None


def test_the_shipped_weights_are_the_recorded_ones_and_say_what_they_were_trained_on(loaded):
    held = read_weights(RECORDS[0])
    assert held.sha256 == RECORDS[0].sha256 == loaded.weights[0].sha256
    assert len(loaded.trained_on) == int(held.metadata["images"])
    assert held.metadata["part"] == "all"


def test_the_shipped_weights_were_made_by_the_shipped_recipe():
    recipe = read_recipe(FOLDER / "recipe.yaml", Catalog.discover())
    assert read_weights(RECORDS[0]).metadata["recipe"] == recipe_digest(recipe)


def test_the_card_holds_the_weights_digest():
    assert RECORDS[0].sha256 in (FOLDER / "README.md").read_text("utf-8")


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA names no folder of images")
def test_the_weights_were_trained_on_the_whole_pictures_and_on_nothing_else(loaded):
    from tests.chains.fitted_set import digests, need_edition, train_set

    need_edition(loaded.trained_on)
    whole = train_set().select([i for i, image in enumerate(train_set()) if image.more["form"] in ("large", "whole")])
    assert np.array_equal(np.sort(loaded.trained_on), np.unique(digests(whole)))


def test_weights_of_another_model_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    arrays = {name: np.zeros(COUNT - 1) for name in ("centre", "deviation", "weight")}
    write_weights(path, {**arrays, "bias": np.zeros(())})
    with pytest.raises(D2FError, match="D2F504") as caught:
        detector(weights=str(path))
    assert str(COUNT) in str(caught.value)


def test_unknown_weights_are_refused():
    with pytest.raises(D2FError, match="D2F501"):
        detector(weights="defualt")


def test_the_trainable_has_features_where_the_detector_scores():
    trainable = build(Catalog.discover(), "trainable", "noise-statistics", {})
    assert trainable.features(noise_picture(64, 64)).shape == (COUNT,)
    assert trainable.features(noise_picture(63, 64)) is None
    assert trainable.features(flat_picture(64, 64)) is None


# Each feature against an independent computation: loops, SciPy, closed forms on synthetic noise.

PHOTOGRAPH = planes.luma_and_colour(planes.window(photograph()))


def white(height=256, width=256, deviation=10.0, seed=0):
    return np.random.default_rng(seed).normal(128, deviation, (height, width)).astype(np.float32)


def ramp(height=64, width=64):
    return (np.arange(width) + 2 * np.arange(height)[:, None]).astype(np.float32)


def ring_of(height, width):
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    return np.minimum(np.floor(radius * 64), 32).astype(int)


# The window and its scales


@pytest.mark.parametrize("size", [(64, 64), (65, 79), (399, 400), (1000, 333), (2000, 3000)])
def test_the_window_is_central_bounded_and_on_the_eight_pixel_grid(size):
    rows, columns = np.indices(size)
    seen = planes.window(np.stack([rows // 256, rows % 256, columns % 256], axis=2).astype(np.uint8))
    assert seen.shape[:2] == tuple(min(side, 384) // 16 * 16 for side in size)
    top, left = int(seen[0, 0, 0]) * 256 + int(seen[0, 0, 1]), int(seen[0, 0, 2])
    assert top % 8 == left % 8 == 0
    assert abs((size[0] - seen.shape[0]) / 2 - top) <= 8


def test_luma_and_colour_are_those_of_jfif():
    pixels = noise_picture(16, 32)
    red, green, blue = (pixels[..., i].astype(float) for i in range(3))
    luma, to_blue, to_red = planes.luma_and_colour(pixels)
    assert luma == pytest.approx(0.299 * red + 0.587 * green + 0.114 * blue, abs=1e-4)
    assert to_blue == pytest.approx(-0.168736 * red - 0.331264 * green + 0.5 * blue, abs=1e-3)
    assert to_red == pytest.approx(0.5 * red - 0.418688 * green - 0.081312 * blue, abs=1e-3)


def test_a_pyramid_halves_by_means_of_four():
    plane = white(32, 48)
    levels = planes.pyramid(plane)
    assert [level.shape for level in levels] == [(32, 48), (16, 24), (8, 12), (4, 6)]
    assert levels[3] == pytest.approx(plane.reshape(4, 8, 6, 8).mean(axis=(1, 3)), rel=1e-5)


# Sums


def test_means_products_and_counts_are_those_of_numpy():
    stack = np.random.default_rng(1).normal(3, 1, (3, 40, 50)).astype(np.float32)
    exact = stack.astype(float)
    assert sums.mean(stack) == pytest.approx(exact.mean(axis=(1, 2)), rel=1e-5)
    assert sums.mean_product(stack, stack[::-1]) == pytest.approx((exact * exact[::-1]).mean(axis=(1, 2)), rel=1e-5)
    levels = noise_picture(30, 40)[..., 0]
    assert np.array_equal(sums.byte_counts(levels), np.bincount(levels.ravel(), minlength=256))


def test_the_autocorrelation_of_white_noise_is_nothing_and_of_a_wave_its_cosine():
    noise_plane = white(512, 512) - 128
    variance = np.float32(noise_plane.var())
    assert abs(sums.shifted(noise_plane, 1, 0, noise_plane.mean(), variance)) < 0.01
    wave = np.tile(np.sin(2 * np.pi * np.arange(512) / 16), (64, 1)).astype(np.float32)
    found = sums.shifted(wave, 0, 2, wave.mean(), np.float32(0.5))
    assert found == pytest.approx(np.cos(2 * np.pi * 2 / 16), abs=0.01)


# Co-occurrences


def loop_of_triples(levels, axis):
    counts = np.zeros(125, int)
    turned = levels if axis == 1 else levels.T
    for row in turned:
        for a, b, c in zip(row, row[1:], row[2:], strict=False):
            counts[25 * a + 5 * b + c] += 1
    return counts


@pytest.mark.parametrize("axis", [0, 1])
def test_triples_are_counted_as_loops_count_them(axis):
    levels = np.random.default_rng(2).integers(0, 5, (13, 17), dtype=np.uint8)
    assert np.array_equal(cooccurrence.in_a_row(levels, axis), loop_of_triples(levels, axis))


def test_quantising_rounds_truncates_and_shifts():
    values = np.array([[-9.0, -2.6, -0.4, 0.6, 1.4, 2.6, 40.0]], np.float32)
    assert cooccurrence.quantised(values, 1.0).tolist() == [[0, 0, 2, 3, 3, 4, 4]]
    assert cooccurrence.quantised(values, 10.0).tolist() == [[1, 2, 2, 2, 2, 2, 4]]


def test_classes_of_triples_join_signs_and_directions_and_nothing_else():
    triples = list(itertools.product(range(-2, 3), repeat=3))

    def alike(triple):
        negative = tuple(-value for value in triple)
        return {triple, triple[::-1], negative, negative[::-1]}

    assert cooccurrence.ALONG.max() + 1 == len({frozenset(alike(triple)) for triple in triples}) == 39
    for first, second in itertools.combinations(range(0, 125, 3), 2):
        same = cooccurrence.ALONG[first] == cooccurrence.ALONG[second]
        assert same == (triples[second] in alike(triples[first]))


def test_the_rich_model_quantises_the_residuals_of_scipy_correlations():
    luma = PHOTOGRAPH[0][:64, :80].astype(float)
    expected = []
    pair, bend = np.array([[-1, 1]]), np.array([[1, -2, 1]])
    first = [signal.correlate(luma, kernel, "valid") for kernel in (pair, pair.T)]
    second = [signal.correlate(luma, kernel, "valid") for kernel in (bend, bend.T)]
    square = signal.correlate(luma, np.outer([1, -2, 1], [1, -2, 1]) / 4, "valid")
    for residuals, axes in ((first, (1, 0)), (second, (1, 0)), (second, (0, 1)), ([square, square], (1, 0))):
        step = max(0.25, *(np.abs(residual).mean() for residual in residuals))
        counts = sum(
            loop_of_triples(np.clip(np.rint(residual / step), -2, 2).astype(int) + 2, axis)
            for residual, axis in zip(residuals, axes, strict=True)
        )
        shares = np.bincount(cooccurrence.ALONG, counts) / counts.sum()
        expected.append(np.sqrt(shares))
    # A value within rounding of a step's edge may fall on either side.
    assert cooccurrence.rich_model(luma.astype(np.float32)) == pytest.approx(np.concatenate(expected), abs=0.01)


def test_a_ramp_has_second_differences_of_nothing():
    found = cooccurrence.rich_model(ramp()).reshape(4, 39)
    nothing = cooccurrence.ALONG[62]
    assert found[1:, nothing] == pytest.approx(1)
    assert np.delete(found[1:], nothing, axis=1) == pytest.approx(0)


def test_shares_are_distributions_that_do_not_change_with_sign_or_mirror():
    luma = PHOTOGRAPH[0]
    found = cooccurrence.rich_model(luma)
    assert (found.reshape(4, 39) ** 2).sum(axis=1) == pytest.approx(1)
    assert cooccurrence.rich_model(luma[:, ::-1].copy()) == pytest.approx(found, abs=2e-3)
    assert cooccurrence.rich_model(255 - luma) == pytest.approx(found, abs=2e-3)
    assert (cooccurrence.subtractive_pixels(luma) ** 2).sum() == pytest.approx(1)


def test_subtractive_pixels_of_whole_levels_are_shares_of_truncated_differences():
    levels = noise_picture(20, 30, seed=4)[..., 0] // 64
    counts = sum(loop_of_triples(np.clip(np.diff(levels.astype(int), axis=axis), -2, 2) + 2, axis) for axis in (0, 1))
    expected = np.sqrt(np.bincount(cooccurrence.ALONG, counts) / counts.sum())
    assert cooccurrence.subtractive_pixels(levels.astype(np.float32)) == pytest.approx(expected)


# Subbands


def test_details_are_correlations_with_the_haar_filters():
    plane = PHOTOGRAPH[0][:20, :30]
    low, high = np.array([0.5, 0.5]), np.array([1, -1])
    stack = subbands.details([plane])
    for band, kernel in zip(stack, (np.outer(low, high), np.outer(high, low), np.outer(high, high) / 2), strict=True):
        assert band == pytest.approx(signal.correlate(plane.astype(float), kernel, "valid"), abs=1e-3)


def test_the_marginals_of_gaussian_noise_are_known():
    stack = np.random.default_rng(5).normal(0, 8, (3, 400, 400)).astype(np.float32)
    found = subbands.statistics(stack, np.abs(stack))
    assert found[:3] == pytest.approx(np.sqrt(2 / np.pi), abs=0.005)
    assert np.exp(found[3:6]) == pytest.approx(3, abs=0.1)
    assert found[6:] == pytest.approx(0, abs=0.02)


def test_statistics_of_subbands_are_those_of_numpy():
    stack = subbands.details([plane[:200, :200] for plane in PHOTOGRAPH])
    exact, size = stack.astype(float), stack[0].size
    found = subbands.statistics(stack, np.abs(stack))
    power = (exact**2).mean(axis=(1, 2))
    assert found[:9] == pytest.approx(np.abs(exact).mean(axis=(1, 2)) / np.sqrt(power), rel=2e-3)
    assert np.exp(found[9:18]) == pytest.approx((exact**4).mean(axis=(1, 2)) / power**2, rel=5e-3)
    magnitudes = np.corrcoef(np.abs(exact).reshape(9, size))
    values = np.einsum("ihw,jhw->ij", exact, exact) / size
    place = 18 + 18
    for first in range(9):
        assert found[place : place + 8 - first] == pytest.approx(magnitudes[first, first + 1 :], abs=5e-3)
        place += 8 - first
        alike = range(first + 3, 9, 3)
        expected = [values[first, other] / np.sqrt(power[first] * power[other]) for other in alike]
        assert found[place : place + len(alike)] == pytest.approx(expected, abs=5e-3)
        place += len(alike)
    assert place == len(found)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.25, 4.0))
def test_statistics_of_subbands_do_not_follow_contrast(factor):
    stack = subbands.details([PHOTOGRAPH[0][:200, :200]])
    scaled = stack * np.float32(factor)
    assert subbands.statistics(scaled, np.abs(scaled)) == pytest.approx(
        subbands.statistics(stack, np.abs(stack)), abs=2e-3
    )


def test_a_scale_made_of_its_parent_correlates_with_it_fully():
    parent = np.abs(white(40, 40, seed=6) - 128)
    child = parent.repeat(2, axis=0).repeat(2, axis=1)
    assert subbands.parents(child[None], parent[None]) == pytest.approx([1], abs=1e-3)


# Blocks


def test_blocks_are_transformed_as_scipy_transforms_each():
    luma = PHOTOGRAPH[0][:32, :48]
    found = blocks.cosine_blocks(luma).reshape(4, 6, 8, 8)
    for row, column in itertools.product(range(4), range(6)):
        block = luma[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].astype(float)
        assert found[row, column] == pytest.approx(fft.dctn(block, norm="ortho"), abs=2e-3)


def test_white_noise_has_a_flat_profile_of_gaussian_shape():
    found = blocks.frequency_profile(blocks.cosine_blocks(white(512, 512)))
    assert found[:63] == pytest.approx(0, abs=0.06)
    assert found[63:] == pytest.approx(2 / np.pi, abs=0.03)


def test_first_digits_are_those_that_strings_begin_with():
    coefficients = np.random.default_rng(7).laplace(0, 60, (50, 64)).astype(np.float32)
    found = blocks.first_digits(coefficients).reshape(3, 10)
    frequency = np.add.outer(np.arange(8), np.arange(8)).ravel()
    law = np.log10(1 + 1 / np.arange(1, 10))
    for row, (low, high) in zip(found, ((1, 3), (4, 7), (8, 14)), strict=True):
        values = np.abs(coefficients[:, (frequency >= low) & (frequency <= high)]).ravel()
        digits = [int(f"{value:.6e}"[0]) for value in values if value >= 1]
        counts = np.array([digits.count(digit) for digit in range(1, 10)]) + 0.5
        share = counts / counts.sum()
        assert row[:9] == pytest.approx(share, abs=2e-3)
        assert row[9] == pytest.approx(stats.entropy(share, law), abs=5e-3)


def test_benfords_law_has_no_divergence_from_itself():
    values = 10 ** np.random.default_rng(8).uniform(0, 3, (4000, 64))
    assert blocks.first_digits(values.astype(np.float32)).reshape(3, 10)[:, 9] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("offset", [0, 3, 7])
def test_the_grid_is_seen_at_any_phase(offset):
    tiles = np.random.default_rng(9).normal(128, 30, (40, 40)).repeat(8, axis=0).repeat(8, axis=1)
    plane = (tiles + np.random.default_rng(10).normal(0, 2, tiles.shape)).astype(np.float32)
    gridded = blocks.grid_strength(plane[offset:, offset:][:304, :304])
    plain = blocks.grid_strength(white(304, 304))
    assert gridded[[0, 4]].min() > 1 > 10 * np.abs(plain[[0, 4]]).max()


# The spectrum


def test_log_power_is_that_of_numpy():
    luma = PHOTOGRAPH[0][:64, :96]
    window = np.outer(np.hanning(66)[1:-1], np.hanning(98)[1:-1])
    expected = np.abs(np.fft.rfft2((luma - luma.mean(dtype=float)) * window)) ** 2
    assert np.exp(spectrum.log_power(luma)) == pytest.approx(expected + 1e-6 * luma.size, rel=0.02, abs=1)


def test_ring_means_and_profile_are_those_of_loops():
    power = np.random.default_rng(11).normal(0, 1, (48, 33)).astype(np.float32)
    ring = ring_of(48, 64)
    means = spectrum.ring_means(power, 48, 64)
    assert means == pytest.approx([power[ring == each].mean() for each in range(33)], abs=1e-5)
    found = spectrum.radial_profile(means)
    line = stats.linregress(np.log(np.arange(1, 32) + 0.5), means[1:32])
    assert found[:31] == pytest.approx(means[1:32] - means[1:32].mean())
    assert found[32] == pytest.approx(line.slope)


def test_a_power_law_has_its_slope_and_no_misfit():
    means = -2.5 * np.log(np.arange(33) + 0.5)
    found = spectrum.radial_profile(means)
    assert found[32:] == pytest.approx([-2.5, 0], abs=1e-9)


@pytest.mark.parametrize("place", spectrum.UPSAMPLING)
def test_a_wave_at_a_frequency_of_upsampling_is_the_peak_there(place):
    down, right = place
    rows, columns = np.indices((128, 128))
    wave = 3 * np.cos(2 * np.pi * (rows * down + columns * right) / 8)
    plane = (white(128, 128, 2.0) + wave).astype(np.float32)
    power = spectrum.log_power(plane)
    found = spectrum.peaks(power, spectrum.ring_means(power, 128, 128), 128, 128)[:12]
    assert np.argmax(found) == spectrum.UPSAMPLING.index(place)
    assert found.max() > 5


# The residual


def test_box_means_are_those_of_scipy():
    plane = white(40, 50)
    expected = ndimage.uniform_filter(plane.astype(float), 5)[2:-2, 2:-2]
    assert noise.box_mean(plane) == pytest.approx(expected, rel=1e-5)


def test_the_residual_is_what_scipys_wiener_takes_away():
    plane = PHOTOGRAPH[0][:90, :110]
    # SciPy's noise is the mean over all windows, those that hang over the border among them; both are given ours.
    residual, variance = noise.wiener_residual(plane)
    filtered = signal.wiener(plane.astype(float), 5, float(variance.mean()))
    assert residual == pytest.approx((plane - filtered)[2:-2, 2:-2], abs=0.02)


def test_residual_statistics_of_white_noise():
    found = noise.residual_statistics(white(400, 400, 10))
    assert found[0] == pytest.approx(np.sqrt(2 / np.pi), abs=0.02)
    assert np.exp(found[1]) == pytest.approx(3, abs=0.2)
    # A 5x5 mean is taken away: neighbours share some of it, pixels 8 apart nothing.
    assert found[10:12] == pytest.approx(0, abs=0.02)


def test_noise_levels_of_one_level_have_no_spread_and_follow_light_where_they_do():
    even = noise.noise_level(white(384, 384, 8))
    assert np.abs(even[:6]).max() < 0.4
    light = np.linspace(20, 230, 384)[:, None].repeat(384, axis=1)
    shot = light + np.random.default_rng(12).normal(0, 1, light.shape) * np.sqrt(light)
    assert noise.noise_level(shot.astype(np.float32))[6] > 0.9 > 0.3 > abs(even[6])


# Patterns and exposure


def test_patterns_are_those_of_loops():
    plane = PHOTOGRAPH[0][:20, :24]
    ring = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    counts = {}
    for row, column in itertools.product(range(1, 19), range(1, 23)):
        bits = [plane[row + down, column + right] >= plane[row, column] + np.float32(0.5) for down, right in ring]
        least = min(tuple(bits[turn:] + bits[:turn]) for turn in range(8))
        counts[least] = counts.get(least, 0) + 1
    found = patterns.binary_patterns(plane)
    assert len(found) == 36
    assert sorted(found[found > 0]) == pytest.approx(sorted(np.sqrt(np.array(list(counts.values())) / (18 * 22))))


def test_patterns_do_not_change_with_quarter_turns_or_light():
    plane = PHOTOGRAPH[0]
    found = patterns.binary_patterns(plane)
    assert patterns.binary_patterns(np.rot90(plane).copy()) == pytest.approx(found)
    assert patterns.binary_patterns(plane + 20) == pytest.approx(found, abs=2e-3)


def test_exposure_counts_what_is_clipped():
    pixels = flat_picture(16, 16, 128)
    pixels[:4] = 0
    pixels[4:6] = 255
    pixels[6, :, 0] = 200
    pixels[7] = (10, 15, 20)
    pixels[8] = (255, 240, 236)
    assert exposure.exposure(pixels) ** 2 == pytest.approx([4 / 16, 5 / 16, 2 / 16, 3 / 16])


# All of them


def hard_pictures():
    dot = flat_picture(64, 64, 0)
    dot[31, 31] = 255
    stripes = flat_picture(128, 96, 0)
    stripes[::2] = 255
    red = flat_picture(80, 64, 0)
    red[..., 0] = np.arange(64) * 4
    return [flat_picture(64, 64, 0), flat_picture(64, 64, 255), dot, stripes, red, noise_picture(64, 1000)]


@pytest.mark.parametrize("pixels", hard_pictures(), ids=["black", "white", "dot", "stripes", "one colour", "noise"])
def test_features_are_finite_on_hard_pictures(pixels):
    found = features(pixels)
    assert found.shape == (COUNT,)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(64, 200), st.integers(64, 200), st.integers(0, 2**32 - 1))
def test_features_are_finite_and_repeat_at_any_size(height, width, seed):
    random = np.random.default_rng(seed)
    pixels = (
        (random.integers(0, 256, (1, 1, 3)) + random.integers(0, 40, (height, width, 3))).clip(0, 255).astype(np.uint8)
    )
    first = features(pixels)
    assert np.isfinite(first).all()
    assert np.array_equal(features(np.asfortranarray(pixels)), first)


def test_pixels_outside_the_window_do_not_matter():
    pixels = np.random.default_rng(13).integers(0, 256, (500, 600, 3), dtype=np.uint8)
    top, left = (500 - 384) // 16 * 8, (600 - 384) // 16 * 8
    changed = np.zeros_like(pixels)
    changed[top : top + 384, left : left + 384] = pixels[top : top + 384, left : left + 384]
    assert np.array_equal(features(pixels), features(changed))


def test_the_groups_are_the_features_in_order():
    found = groups(photograph())
    assert sum(len(each) for each in found.values()) == COUNT
    assert np.array_equal(np.concatenate(list(found.values())), features(photograph()))


# The classifier in numpy against scikit-learn's own.


def table(n=300, d=20, seed=0):
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.4).astype(np.int8)
    features = random.normal(5, 3, (n, d)) * random.uniform(0.01, 100, d)
    features[:, 0] += labels * features[:, 0].std()
    return features, labels, random.uniform(0.2, 3, n)


def test_scores_are_scikit_learns_decision_function():
    from sklearn.linear_model import LogisticRegression

    features, labels, weights = table()
    arrays = fit(features, labels, weights, 0, 0.1)
    centre = np.average(features, axis=0, weights=weights)
    deviation = np.sqrt(np.average((features - centre) ** 2, axis=0, weights=weights))
    values = np.clip((features - centre) / deviation, -BOUND, BOUND)
    model = LogisticRegression(C=0.1, max_iter=1000, tol=1e-4).fit(values, labels, sample_weight=weights)
    assert scores(arrays, features) == pytest.approx(model.decision_function(values), abs=1e-9)


def test_the_fit_is_where_the_gradient_is_nothing():
    features, labels, weights = table(seed=1)
    arrays = fit(features, labels, weights, 0, 0.1)
    values = np.clip((features - arrays["centre"]) / arrays["deviation"], -BOUND, BOUND)
    misses = weights * (1 / (1 + np.exp(-scores(arrays, features))) - labels)
    assert values.T @ misses + arrays["weight"] / 0.1 == pytest.approx(0, abs=0.05)
    assert misses.sum() == pytest.approx(0, abs=0.05)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(0, 1000))
def test_a_score_does_not_depend_on_the_other_rows(rows, seed):
    features, labels, weights = table(seed=2)
    arrays = fit(features, labels, weights, 0, 0.1)
    chosen = np.random.default_rng(seed).integers(0, len(features), rows)
    alone = [scores(arrays, features[[i]])[0] for i in chosen]
    assert np.array_equal(scores(arrays, features[chosen]), alone)


def test_fitting_twice_gives_the_same_bytes():
    first, second = fit(*table(), 0, 0.1), fit(*table(), 1, 0.1)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_feature_that_never_varies_weighs_nothing():
    features, labels, weights = table()
    features[:, 3] = 7.0
    arrays = fit(features, labels, weights, 0, 0.1)
    assert arrays["weight"][3] == pytest.approx(0, abs=1e-12)
    assert np.isfinite(scores(arrays, features)).all()


def test_no_single_feature_carries_a_picture():
    features, labels, weights = table()
    arrays = fit(features, labels, weights, 0, 0.1)
    wild = features[:1].copy()
    wild[0, 5] = 1e12
    bound = 2 * BOUND * abs(arrays["weight"][5])
    assert abs(scores(arrays, wild)[0] - scores(arrays, features[:1])[0]) <= bound + 1e-9
