import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f import D2FError
from d2f.data.dataset import Dataset, load_dataset
from d2f.data.groups import components
from d2f.data.review import review, write_gallery
from tests.unit.evaluate.toys import write_set


class Noise:
    """A model of one feature: how noisy a picture is; photographs of the set are noisier."""

    def features(self, pixels):
        return None if pixels.shape[0] < 40 else np.array([np.diff(pixels[..., 1].astype(float), axis=1).std()])

    def fit(self, features, labels, weights, seed):
        assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
        centres = [np.average(features[labels == label, 0], weights=weights[labels == label]) for label in (0, 1)]
        return {"middle": np.mean(centres)}

    def predict(self, arrays, features):
        return arrays["middle"] - features[:, 0]


@pytest.fixture
def dataset(tmp_path):
    for number in range(40):
        label = "generated/toy" if number % 2 else "real"
        deviation = 2 if number % 2 else 9
        where = tmp_path / f"set/{label}/hands{number // 2 % 5}"
        where.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).normal(128, deviation, (64, 64, 1)).clip(0, 255)
        Image.fromarray(noise.astype(np.uint8).repeat(3, axis=2)).save(where / f"{number}.png")
    return load_dataset(tmp_path / "set")


def test_swapped_labels_come_first(dataset):
    images = list(dataset)
    wrong = [3, 25]
    for i in wrong:
        images[i] = replace(images[i], label=1 - images[i].label)
    swapped = Dataset(tuple(images), dataset.root)
    found = review(swapped, components(swapped), Noise())
    assert {doubt.image.path for doubt in found.doubts[:2]} == {images[i].path for i in wrong}
    assert all(doubt.disagreement > 0.5 for doubt in found.doubts[:2])
    assert all(doubt.disagreement < 0.5 for doubt in found.doubts[2:])


def test_images_without_features_and_broken_ones_are_counted(dataset, tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "set/real/hands0/tiny.png")
    (tmp_path / "set/real/hands0/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    images = load_dataset(tmp_path / "set")
    found = review(images, components(images), Noise())
    assert (len(found.doubts), found.silent, len(found.problems)) == (40, 1, 1)


def test_a_model_without_a_feature_is_told(dataset):
    class Mute(Noise):
        def features(self, pixels):
            return None

    with pytest.raises(D2FError, match="features of none"):
        review(dataset, components(dataset), Mute())


def test_the_gallery_is_a_page_a_table_and_thumbnails(tmp_path):
    write_set(tmp_path / "set", 12, collections=4)
    odd = tmp_path / "set/real/<b>&"
    odd.mkdir()
    (tmp_path / "set/real/hands0/0.png").rename(odd / "0.png")
    images = load_dataset(tmp_path / "set")
    found = review(images, components(images), Noise())
    write_gallery(tmp_path / "out", found.doubts)
    page = (tmp_path / "out/index.html").read_text("utf-8")
    assert page.count("<figure>") == 24
    assert "&lt;b&gt;&amp;" in page
    assert "<b>&" not in page
    assert "http" not in page
    with (tmp_path / "out/review.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [doubt.image.path for doubt in found.doubts]
    assert {row["reviewed_label"] for row in rows} == {""}
    order = [float(row["disagreement"]) for row in rows]
    assert order == sorted(order, reverse=True)
    for name in Path(tmp_path / "out/thumbnails").iterdir():
        assert f"thumbnails/{name.name}" in page
    assert len(list((tmp_path / "out/thumbnails").iterdir())) == 24
