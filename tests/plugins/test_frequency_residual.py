"""The detector frequency-residual: its shipped weights, its window, strict reading, its recipe; its network."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import d2f_frequency_residual
import mlx.core as mx
import numpy as np
import pytest
from d2f_frequency_residual.network import SpectralNetwork
from d2f_frequency_residual.stage import RECORDS, FrequencyResidualTrainable, NetworkOptions, central
from d2f_frequency_residual.statistics import BandCorrelations, first_bands, shares
from d2f_frequency_residual.transforms import block_spectrum, colour_matrix, cosine_matrix, halved, residual
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.ndimage import correlate

from d2f import D2FError, Detector, GradientTrainable, Needs, Weights, WholeImage
from d2f.models import arrays_of, load_arrays, parameter_count
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.train.read import read_recipe
from d2f.train.recipe import NetworkRecipe, recipe_digest
from d2f.weights import read_weights, write_weights
from tests.plugins.pictures import PHOTOGRAPHS, noise_picture, photograph

FOLDER = Path(d2f_frequency_residual.__file__).parent
BYTES = 1_000_000


def detector(**options: Any) -> Any:
    stage = build(Catalog.discover(), "detector", "frequency-residual", options)
    stage.load()
    return stage


@pytest.fixture(scope="module")
def loaded() -> Any:
    return detector()


def test_it_keeps_the_contracts(loaded: Any) -> None:
    assert isinstance(loaded, Detector)
    assert loaded.wants == WholeImage()
    assert isinstance(build(Catalog.discover(), "trainable", "frequency-residual", {}), GradientTrainable)


def test_a_score_is_the_networks_logit_of_the_central_window(loaded: Any) -> None:
    held = read_weights(RECORDS[0])
    network = SpectralNetwork(NetworkOptions.model_validate(json.loads(held.metadata["options"])))
    load_arrays(network, held.arrays)
    network.eval()
    pictures = [photograph(name) for name in PHOTOGRAPHS]
    windows = [np.ascontiguousarray(central(each, 512)) for each in pictures]
    expected = [float(network(mx.array(each)[None].astype(mx.float32) / 255)[0]) for each in windows]
    assert loaded.score(pictures) == pytest.approx(expected, abs=1e-4)


def test_a_score_does_not_depend_on_the_batch_or_its_order(loaded: Any) -> None:
    pictures = [photograph(name) for name in PHOTOGRAPHS] + [noise_picture(100, 130, seed) for seed in range(3)]
    together, alone = loaded.score(pictures), [loaded.score([each])[0] for each in pictures]
    assert together == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize(
    ("height", "width", "corner"), [(512, 512, (0, 0)), (600, 700, (32, 80)), (90, 2000, (0, 736))]
)
def test_the_window_begins_where_blocks_of_jpeg_do(height: int, width: int, corner: tuple[int, int]) -> None:
    pixels = noise_picture(height, width)
    found = central(pixels, 512)
    top, left = corner
    assert np.array_equal(found, pixels[top : top + 512, left : left + 512])
    assert found.shape[:2] == (min(height, 512), min(width, 512))


def test_only_the_window_is_looked_at(loaded: Any) -> None:
    picture = noise_picture(200, 200)
    framed = np.pad(picture[64:128, 64:128], ((64, 72), (64, 72), (0, 0)))
    small = detector(window=64)
    assert small.score([picture])[0] == pytest.approx(small.score([framed])[0], abs=1e-4)
    assert loaded.score([picture])[0] != pytest.approx(loaded.score([framed])[0], abs=1e-2)


def test_what_it_needs_of_a_view() -> None:
    assert detector().needs == Needs(side=64, deviation=1e-4, window=512)
    assert detector(window=100).needs.window == 100


def test_the_shipped_weights_are_the_recorded_ones_and_small(loaded: Any) -> None:
    held = read_weights(RECORDS[0])
    assert held.sha256 == RECORDS[0].sha256 == loaded.weights[0].sha256
    assert len(loaded.trained_on) == int(held.metadata["images"])
    assert held.metadata["part"] == "weights"
    assert (FOLDER / "default.safetensors").stat().st_size < BYTES


def test_the_shipped_weights_were_made_by_the_shipped_recipe() -> None:
    recipe = read_recipe(FOLDER / "recipe.yaml", Catalog.discover())
    assert isinstance(recipe, NetworkRecipe)
    plain = recipe.plain()
    # The weights were made when `protocol: crop` was spelled `matched: true` and nothing could be excluded or aligned.
    plain["data"] = {key: value for key, value in plain["data"].items() if key not in ("folder", "exclude")}
    plain["copies"] = {"matched": True, **plain["copies"]}
    assert plain["copies"].pop("protocol") == "crop"
    assert plain["tiles"].pop("align") == 1
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    assert read_weights(RECORDS[0]).metadata["recipe"] == f"sha256:{digest}"


def test_the_weights_whole_were_made_by_their_recipe_from_the_weights_part_alone() -> None:
    recipe, held = read_recipe(FOLDER / "whole.yaml", Catalog.discover()), read_weights(RECORDS[1])
    assert isinstance(recipe, NetworkRecipe)
    assert recipe.copies.protocol == "whole"
    assert held.metadata["recipe"] == recipe_digest(recipe)
    assert held.metadata["part"] == "weights"
    assert len(held.trained_on if held.trained_on is not None else ()) == int(held.metadata["images"])


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_the_card_holds_the_weights_digest_and_what_they_were_measured_to_do(record: Weights) -> None:
    card, held = (FOLDER / "README.md").read_text("utf-8"), read_weights(record)
    assert record.sha256 in card
    for name, figures in json.loads(held.metadata["measured"]).items():
        assert f"| {name} | {figures['auc']:.3f} |" in card


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA names no folder of images")
def test_the_weights_were_trained_on_images_of_the_weights_part_alone(loaded: Any) -> None:
    from d2f.data.groups import shipped_split
    from tests.chains.fitted_set import digests, need_edition, train_set

    need_edition(loaded.trained_on)
    assert np.isin(loaded.trained_on, digests(shipped_split(train_set()).weights)).all()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    arrays = arrays_of(SpectralNetwork(NetworkOptions(scales=2)))
    write_weights(path, arrays)
    with pytest.raises(D2FError, match="do not say that they are of `frequency-residual`"):
        detector(weights=str(path))
    write_weights(path, arrays, {"trainable": "frequency-residual", "options": "{}"})
    with pytest.raises(D2FError, match="D2F504"):
        detector(weights=str(path))
    write_weights(path, arrays, {"trainable": "frequency-residual", "options": '{"scales": 2}'})
    assert np.isfinite(detector(weights=str(path)).score([photograph()])[0])


# The network against NumPy and SciPy: colours, scales, residual, spectrum, statistics.

BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
SIDES = st.integers(12, 40)


def planes(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 255, (2, 1, height, width)).astype(np.float32)


def pictures(side: int = 64, count: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3), np.uint8)


def high(plane: NDArray[Any]) -> NDArray[np.float64]:
    """Return a plane less its binomial average, pixels at the edge repeated, by SciPy."""
    return plane - correlate(plane.astype(np.float64), np.outer(BINOMIAL, BINOMIAL), mode="nearest")


def log_spectrum(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(|DCT| + 1/2) of the 8x8 blocks of a plane's residual, (blocks, 64), by SciPy."""
    down, across = plane.shape[0] // 8, plane.shape[1] // 8
    blocks = high(plane)[: down * 8, : across * 8].reshape(down, 8, across, 8).transpose(0, 2, 3, 1)
    found = dctn(blocks, axes=(2, 3), norm="ortho")
    return np.log(np.abs(found.reshape(down * across, 64)) + 0.5)


@given(SIDES, SIDES, st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_the_residual_is_the_plane_less_its_binomial_average(height: int, width: int, seed: int) -> None:
    x = planes(height, width, seed)
    expected = np.stack([high(plane) for plane in x[:, 0]])[:, None]
    np.testing.assert_allclose(np.array(residual(mx.array(x))), expected, atol=1e-3)


@pytest.mark.parametrize("slope", [(0.0, 0.0), (1.0, 0.0), (0.5, -2.0)])
def test_even_and_sloping_planes_have_no_residual_inside(slope: tuple[float, float]) -> None:
    rows, columns = np.mgrid[:24, :30]
    x = (100 + slope[0] * rows + slope[1] * columns).astype(np.float32)[None, None]
    assert np.abs(np.array(residual(mx.array(x)))[..., 2:-2, 2:-2]).max() < 1e-3


@given(SIDES, SIDES, st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_blocks_are_transformed_as_by_scipy(height: int, width: int, seed: int) -> None:
    x = planes(height, width, seed)
    down, across = height // 8, width // 8
    blocks = x[..., : down * 8, : across * 8].reshape(2, 1, down, 8, across, 8).transpose(0, 1, 2, 4, 5, 3)
    expected = dctn(blocks, axes=(4, 5), norm="ortho").reshape(2, 1, down, across, 64)
    found = block_spectrum(mx.array(x), mx.array(cosine_matrix()))
    np.testing.assert_allclose(np.array(found), expected, atol=2e-3)


@given(SIDES, SIDES)
@settings(max_examples=15, deadline=None)
def test_half_the_size_is_the_mean_of_four_pixels(height: int, width: int) -> None:
    x = planes(height, width)
    whole = x[..., : height // 2 * 2, : width // 2 * 2]
    expected = (whole[..., ::2, ::2] + whole[..., 1::2, ::2] + whole[..., ::2, 1::2] + whole[..., 1::2, 1::2]) / 4
    np.testing.assert_allclose(np.array(halved(mx.array(x))), expected, rtol=1e-6)


def test_colours_are_those_of_jpeg() -> None:
    # White, red, and a grey: luma, and chroma without its offset of 128 (ITU-T T.871).
    found = np.array([[1, 1, 1], [1, 0, 0], [0.5, 0.5, 0.5]]) @ colour_matrix()
    expected = [[255, 0, 0], [76.245, -43.028, 127.5], [127.5, 0, 0]]
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("colour", [True, False])
def test_spectra_of_a_picture_are_those_of_scipy(colour: bool) -> None:
    tiles = pictures(96)
    found = SpectralNetwork(NetworkOptions(colour=colour)).spectra(mx.array(tiles).astype(mx.float32) / 255)
    channels = (tiles / 255.0) @ colour_matrix().astype(np.float64)
    for scale, spectrum in enumerate(found):
        side = 96 >> scale
        small = channels.reshape(3, side, 1 << scale, side, 1 << scale, 3).mean(axis=(2, 4))
        count = 3 if scale and colour else 1
        for n in range(3):
            expected = np.concatenate([log_spectrum(small[n, ..., c]) for c in range(count)], axis=-1)
            np.testing.assert_allclose(np.array(spectrum)[n], expected, atol=2e-2)


def test_shares_count_strong_blocks_with_soft_edges() -> None:
    # Far below a ramp, in its middle, far above: of two blocks of two channels.
    x = np.array([[[-0.6, 0.0], [0.0, 5.0]]], np.float32)
    assert np.array(shares(mx.array(x)))[0].tolist() == pytest.approx([0.25, 0.75, 0.0, 0.5, 0.0, 0.5], abs=1e-6)


@pytest.mark.parametrize("colours", [1, 3])
def test_correlations_are_those_of_numpy(colours: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, 50, 64 * colours)).astype(np.float32) * 2
    found = np.array(BandCorrelations(colours)(mx.array(x)))
    bands = (x.reshape(2, 50, colours, 64) @ first_bands()).reshape(2, 50, -1).astype(np.float64)
    deviations = bands.std(axis=1)
    for n in range(2):
        expected = np.corrcoef(bands[n].T)[np.triu_indices(8 * colours, 1)]
        # The floor under the deviations makes each a little smaller.
        damped = deviations[n] / np.hypot(deviations[n], 0.05)
        expected *= np.outer(damped, damped)[np.triu_indices(8 * colours, 1)]
        np.testing.assert_allclose(found[n], expected, atol=1e-5)


def test_an_even_picture_has_finite_statistics_and_gradients() -> None:
    import mlx.nn as nn

    made = SpectralNetwork(NetworkOptions())
    x = mx.full((2, 64, 64, 3), 0.5)
    loss, gradients = nn.value_and_grad(made, lambda pictures: made(pictures).sum())(x)
    flat = [np.array(value) for _, value in tree_flatten(gradients)]
    assert np.isfinite(np.array(loss))
    assert all(np.isfinite(value).all() for value in flat)


def test_bands_learn_and_constants_do_not() -> None:
    import mlx.nn as nn

    made = SpectralNetwork(NetworkOptions(scales=2))
    x = mx.array(pictures()).astype(mx.float32) / 255
    _, gradients = nn.value_and_grad(made, lambda shown: mx.square(made(shown)).sum())(x)
    named = dict(tree_flatten(gradients))
    assert np.abs(np.array(named["correlations.1.bands"])).max() > 0
    assert sorted(arrays_of(made)) == [
        "correlations.0.bands",
        "correlations.1.bands",
        "head.bias",
        "head.weight",
        "norm.running_mean",
        "norm.running_var",
    ]


def test_a_mirrored_picture_has_the_same_statistics() -> None:
    # Of whole blocks at every scale: magnitudes of a cosine transform do not tell left from right.
    made = SpectralNetwork(NetworkOptions(scales=2))
    x = mx.array(pictures()).astype(mx.float32) / 255
    mirrored = made.statistics(x[:, :, ::-1])
    np.testing.assert_allclose(np.array(mirrored), np.array(made.statistics(x)), atol=2e-3)


@pytest.mark.parametrize("name", ["one scale", "luma alone", "a linear head"])
def test_simpler_kin_are_simpler(name: str) -> None:
    trainable = FrequencyResidualTrainable(NetworkOptions(hidden=8))
    kin = FrequencyResidualTrainable(NetworkOptions(**trainable.ablations()[name]))
    assert parameter_count(kin.build()) < parameter_count(trainable.build())
    assert name not in kin.ablations()
