"""The autoencoder held to its authors' own output, to plain NumPy, and to itself in windows of other sizes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from d2f_autoencoder import records, shapes, steps, taef2
from numpy.typing import NDArray

from d2f import D2FError, WeightsMissing
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.weights import read_torch, write_weights
from tests.plugins import autoencoder_reference as reference
from tests.plugins.pictures import SIZES, noise_picture, photograph, stage

GOLDEN = 2e-5
"""How far float32 in another order of sums may be from the authors' output, whose latents reach 5."""


@pytest.fixture(scope="module")
def published() -> tuple[taef2.Encoder, taef2.Decoder]:
    folder = reference.folder()
    arrays = [read_torch(folder / f"taef2_{part}.pth") for part in ("encoder", "decoder")]
    return taef2.Encoder(arrays[0]), taef2.Decoder(arrays[1])


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    reference.pulled(tmp_path / "cache", monkeypatch)
    made = stage("autoencoder")
    made.load()
    return made


@pytest.fixture
def golden() -> dict[str, NDArray[Any]]:
    with np.load(reference.folder() / "golden.npz") as held:
        return dict(held)


class TestValues:
    def test_the_authors_own_latent(self, published: Any, golden: Any) -> None:
        assert np.abs(published[0](golden["image"]) - golden["latent"]).max() < GOLDEN

    def test_the_authors_own_reconstruction(self, published: Any, golden: Any) -> None:
        assert np.abs(published[1].unrounded(golden["latent"]) - golden["reconstruction"]).max() < GOLDEN

    def test_levels_are_rounded_and_clipped(self, loaded: Any, golden: Any) -> None:
        exact = np.clip(golden["reconstruction"].astype(np.float64), 0, 1) * 255
        assert golden["reconstruction"].min() < -0.1
        assert golden["reconstruction"].max() > 1.1
        levels = loaded.apply(golden["image"], 0)
        assert levels.dtype == np.uint8
        assert np.abs(levels - exact).max() <= 0.5 + 255 * GOLDEN

    def test_plain_numpy_says_the_same_of_random_weights(self) -> None:
        arrays = [reference.random_arrays(part(), seed) for seed, part in enumerate((shapes.encoder, shapes.decoder))]
        picture = noise_picture(24, 40, seed=3)
        latent, expected = taef2.Encoder(arrays[0])(picture), reference.encode(picture, arrays[0])
        assert expected.std() > 0.1
        assert np.abs(latent - expected).max() < 1e-5 * np.abs(expected).max()
        made, wanted = taef2.Decoder(arrays[1]).unrounded(latent), reference.decode(latent, arrays[1])
        assert wanted.std() > 0.1
        assert np.abs(made - wanted).max() < 1e-5 * np.abs(wanted).max()


class TestSizes:
    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_any_size_gives_a_view_and_leaves_the_picture(self, loaded: Any, size: tuple[int, int]) -> None:
        picture = noise_picture(*size)
        before = picture.copy()
        picture.setflags(write=False)
        out = loaded.apply(picture, 7)
        assert (out.shape, out.dtype, out.flags.c_contiguous) == (picture.shape, np.uint8, True)
        assert np.array_equal(picture, before)
        assert np.array_equal(out, loaded.apply(picture, 2**64 - 1))

    def test_sides_are_filled_up_by_reflection(self, loaded: Any) -> None:
        picture = noise_picture(13, 23, seed=1)
        rows = [*range(13), 11, 10, 9]
        columns = [*range(23), 21]
        whole = loaded.apply(np.ascontiguousarray(picture[rows][:, columns]), 0)
        assert np.array_equal(loaded.apply(picture, 0), whole[:13, :23])

    def test_a_photograph_comes_back_much_as_it_was(self, loaded: Any) -> None:
        picture = photograph()[100:196, 180:276]
        out = loaded.apply(picture, 0)
        assert 0 < np.abs(out.astype(float) - picture).mean() < 12
        assert np.corrcoef(out.ravel(), picture.ravel())[0, 1] > 0.97


class TestWindows:
    def test_the_result_is_that_of_one_window(self, published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        # Windows of a few margins only, and outer ones: every seam that a large picture has, many times.
        folder = reference.folder()
        monkeypatch.setattr(taef2, "SIDE", 48)
        monkeypatch.setattr(steps.Local.__init__, "__defaults__", (16,))
        small = [taef2.Encoder(read_torch(folder / "taef2_encoder.pth"))]
        small.append(taef2.Decoder(read_torch(folder / "taef2_decoder.pth")))  # type: ignore[arg-type]
        monkeypatch.undo()
        picture = photograph("chelsea")[20:196, 30:254]
        latent = published[0](picture)
        whole = published[1].unrounded(latent)
        monkeypatch.setattr(taef2, "OUTER", 192)
        assert np.abs(small[0](picture) - latent).max() < GOLDEN
        assert np.abs(small[1].unrounded(latent) - whole).max() < GOLDEN  # type: ignore[attr-defined]

    def test_the_whole_picture_is_seen(self, published: Any) -> None:
        # Group norm spans the picture: what stands in one corner is felt in the other, far beyond every window.
        picture = photograph("chelsea")[:64, :320].copy()
        before = published[0](picture)
        picture[:, 280:] = 255
        assert np.abs(published[0](picture) - before)[:, :4].max() > 1e-4

    def test_another_thread_gives_the_same(self, loaded: Any) -> None:
        picture = noise_picture(40, 48, seed=2)
        here, there = loaded.apply(picture, 0), []
        for _ in range(2):
            thread = threading.Thread(target=lambda: there.append(loaded.apply(picture, 0)))
            thread.start()
            thread.join()
        assert np.array_equal(here, there[0])
        assert np.array_equal(here, there[1])


class TestWeights:
    @pytest.fixture
    def nowhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("D2F_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache" / "weights"

    def test_both_are_pinned_to_one_revision(self) -> None:
        found = {record.name: record for record in Catalog.discover().weights if record.name.startswith("taef2/")}
        assert found.keys() == {"taef2/decoder", "taef2/encoder"}
        for record in found.values():
            assert all(records.COMMIT in source for source in record.sources)
            assert len(records.COMMIT) == 40
            assert record.licence == "MIT"

    def test_without_them_the_command_is_named(self, nowhere: Path) -> None:
        made = stage("autoencoder")
        assert [record.name for record in made.weights] == ["taef2/encoder", "taef2/decoder"]
        with pytest.raises(WeightsMissing) as caught:
            made.load()
        (problem,) = caught.value.problems
        assert (problem.code, problem.message) == ("D2F502", "weights 'taef2' are not on this machine")
        assert problem.notes == ("to fetch them: d2f weights pull taef2",)

    def test_a_damaged_file_is_refused(self, nowhere: Path) -> None:
        nowhere.mkdir(parents=True)
        (nowhere / f"{records.ENCODER.sha256}.pth").write_bytes(b"PK")
        with pytest.raises(D2FError, match="'taef2/encoder' have not the pinned digest"):
            stage("autoencoder").load()

    def test_a_folder(self, tmp_path: Path, loaded: Any) -> None:
        folder = reference.folder()
        for part in ("encoder", "decoder"):
            write_weights(tmp_path / f"taef2_{part}.safetensors", read_torch(folder / f"taef2_{part}.pth"))
        picture = noise_picture(16, 24)
        for path in (folder, tmp_path):
            own = stage("autoencoder", weights=str(path))
            own.load()
            assert np.array_equal(own.apply(picture, 0), loaded.apply(picture, 0))
        assert own.weights[0].sha256 != loaded.weights[0].sha256

    def test_a_folder_without_them(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsMissing, match=r"there is no weights file '.*taef2_encoder\.pth'"):
            stage("autoencoder", weights=str(tmp_path))

    def test_neither_a_name_nor_a_path(self) -> None:
        with pytest.raises(D2FError) as caught:
            stage("autoencoder", weights="taef1")
        (problem,) = caught.value.problems
        assert (problem.code, problem.notes) == ("D2F501", ("known: taef2, or a path to a folder, such as ./taef1",))

    @pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
    def test_arrays_of_another_network(self, tmp_path: Path, change: str) -> None:
        encoder = reference.random_arrays(shapes.encoder(), 0)
        if change == "missing":
            del encoder["14.bias"]
        elif change == "unknown":
            encoder["15.bias"] = encoder["14.bias"]
        else:
            encoder["14.bias"] = encoder["14.bias"][:16]
        write_weights(tmp_path / "taef2_encoder.npz", encoder)
        write_weights(tmp_path / "taef2_decoder.npz", reference.random_arrays(shapes.decoder(), 1))
        made = build(Catalog.discover(), "preprocessor", "autoencoder", {"weights": str(tmp_path)})
        with pytest.raises(D2FError) as caught:
            made.load()
        assert caught.value.problems[0].code == "D2F504"
