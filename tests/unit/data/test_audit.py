"""The audit of a set: what in its files tells the label, its repair, and the review of its labels."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from d2f import D2FError
from d2f.data.audit import audit_lines, audit_set, conclusion, source_audit, verdict
from d2f.data.dataset import Dataset, Labelled, load_dataset
from d2f.data.facts import inspect
from d2f.data.groups import components
from d2f.data.review import repair, review, write_gallery
from d2f.data.shortcuts import (
    Property,
    Shortcut,
    ShortcutTrial,
    all_together,
    binned_rows,
    measure_shortcuts,
    ordered_pairs,
    stated_properties,
)
from d2f.metrics import Interval
from d2f.metrics.calibration import fit_logistic, log_odds
from tests.unit.data.audit_sets import write_given_away
from tests.unit.evaluate.toys import write_set


@pytest.fixture(scope="module")
def given_away(tmp_path_factory):
    return write_given_away(tmp_path_factory.mktemp("set"), side=144)


def audited(folder):
    found = audit_set(inspect(load_dataset(folder), decode=True))
    return found, {each.name: each for each in (*found.shortcuts, *found.history)}


def test_a_format_that_tells_the_label_is_named(given_away):
    found, of = audited(given_away)
    assert of["format"].auc == (1.0, 1.0, 1.0)
    assert of["size"].auc.value == 1.0
    assert of["all together"].auc.value == 1.0
    assert of["metadata"].auc == (0.5, 0.5, 0.5)
    assert of["JPEG quality"].auc is None
    lines = list(audit_lines(found))
    assert "  format alone: AUC 1.000 [1.000, 1.000]: this set measures file formats" in lines
    assert "  JPEG quality alone: only photographs have it (100% of them): this set measures JPEG qualities" in lines
    assert "alone tells the label" in lines[-1]


def test_after_repair_nothing_does_but_the_manifest_still_says_what_was(given_away, tmp_path):
    seen = inspect(load_dataset(given_away), decode=True)
    made = repair(seen, tmp_path / "out", window=128)
    assert (len(made.images), made.small, made.problems) == (48, (0, 0), ())
    found, of = audited(tmp_path / "out")
    assert {name: of[name].auc for name in ("size", "format", "chroma subsampling", "metadata")} == dict.fromkeys(
        ("size", "format", "chroma subsampling", "metadata"), (0.5, 0.5, 0.5)
    )
    assert abs(of["JPEG quality"].auc.value - 0.5) < 0.2
    assert abs(of["all together"].auc.value - 0.5) < 0.2
    assert of["original format"].auc.value == 1.0
    assert "alone tells the label" not in found.conclusion


def test_repaired_files_are_alike_and_keep_their_collections(given_away, tmp_path):
    seen = inspect(load_dataset(given_away), decode=True)
    repair(seen, tmp_path / "out", window=120, seed=3)
    new = inspect(load_dataset(tmp_path / "out"))
    assert {(f.format, f.width, f.height, f.chroma, f.metadata) for f in new.facts} == {("JPEG", 120, 120, "4:2:0", ())}
    assert min(facts.quality for facts in new.facts) >= 70
    assert new.images.collections == seen.images.collections
    assert {image.more["original_jpeg_quality"] for image in new.images} == {"80", ""}
    again = repair(seen, tmp_path / "again", window=120, seed=3)
    assert [facts.sha256 for facts in inspect(again.images).facts] == [facts.sha256 for facts in new.facts]


def test_planted_duplicates_are_found_across_labels_and_parts(tmp_path):
    folder = write_given_away(tmp_path / "train", count=8, side=96)
    shutil.copy(folder / "real/hands-0-0/0.jpg", folder / "generated/toy/hands-0-1/copy.jpg")
    (tmp_path / "val/real/other").mkdir(parents=True)
    shutil.copy(folder / "real/hands-1-0/2.jpg", tmp_path / "val/real/other/again.jpg")
    seen = inspect(load_dataset(tmp_path), decode=True)
    found = audit_set(seen)
    assert found.duplicates.exact == 2
    ((first, second, kind),) = found.duplicates.across_labels
    assert {first.rsplit("/", 1)[1], second.rsplit("/", 1)[1], kind} == {"0.jpg", "copy.jpg", "exact"}
    ((first, second, kind),) = found.duplicates.across_parts
    assert {first.rsplit("/", 1)[1], second.rsplit("/", 1)[1]} == {"2.jpg", "again.jpg"}
    assert found.conclusion.endswith("; 1 pairs of duplicates have both labels")
    made = repair(seen, tmp_path / "out", window=64)
    assert (made.repeated, made.contradictory, len(made.images)) == (1, 2, 15)


def test_images_too_small_for_the_window_are_left_out_and_counted(given_away, tmp_path):
    seen = inspect(load_dataset(given_away), decode=True)
    with pytest.raises(D2FError, match="no image is 300 pixels"):
        repair(seen, tmp_path / "out", window=300)


def test_one_collection_a_label_is_audited_image_by_image_and_says_so(tmp_path):
    write_given_away(tmp_path, count=8, side=64)
    for label in ("real", "generated/toy"):
        for path in list((tmp_path / label).rglob("*.*g")):
            target = tmp_path / label / "one-place"
            target.mkdir(exist_ok=True)
            shutil.move(path, target / path.name)
    found, of = audited(tmp_path)
    assert of["format"].auc.value == 1.0
    assert "all photographs come from one collection" in found.notes[0]
    # The bench asks the same of the same files, and is told the same.
    said = source_audit(inspect(load_dataset(tmp_path)))
    assert (said[0], said[1]) == (found.conclusion, found.notes[0])
    assert "format alone: AUC 1.000 [1.000, 1.000]: this set measures file formats" in said


def test_without_a_label_there_is_nothing_to_audit(given_away):
    seen = inspect(load_dataset(given_away).select(np.arange(5)), decode=True)
    with pytest.raises(D2FError, match="there are no photographs"):
        audit_set(seen)


# Shortcuts: how well each property of the files tells the label.


def trial(count=400, collections=40):
    labels = (np.arange(count) % 2).astype(np.int8)
    return ShortcutTrial(labels, np.arange(count) // 2 % collections)


def test_the_classifier_is_scikit_learns():
    random = np.random.default_rng(0)
    rows = (random.random((300, 7)) < 0.4).astype(float)
    labels = (random.random(300) < 1 / (1 + np.exp(-rows @ np.arange(-3, 4)))).astype(np.int8)
    fitted = fit_logistic(rows, labels)
    reference = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-8).fit(rows, labels)
    assert fitted[:-1] == pytest.approx(reference.coef_[0], abs=1e-3)
    assert fitted[-1] == pytest.approx(reference.intercept_[0], abs=1e-3)
    assert log_odds(fitted, rows) == pytest.approx(reference.decision_function(rows), abs=3e-3)


def test_a_number_that_moves_with_the_label_tells_it_as_its_own_auc_says():
    random, given = np.random.default_rng(1), trial(2000, 200)
    values = random.normal(0, 1, 2000) + given.labels
    (found,) = measure_shortcuts([Property("quality", (values,))], given)
    # Two normals one deviation apart: AUC = Phi(1 / sqrt 2) = 0.760.
    assert found.auc.value == pytest.approx(0.760, abs=0.03)
    assert found.auc.low < 0.76 < found.auc.high


def test_chance_and_constants_tell_nothing():
    random, given = np.random.default_rng(2), trial(1000, 100)
    noise = Property("format", words=(random.choice(["a", "b", "c"], 1000),))
    constant = Property("metadata", words=(np.full(1000, "none"),))
    of_noise, of_constant = measure_shortcuts([noise, constant], given)
    assert abs(of_noise.auc.value - 0.5) < 0.06
    assert of_constant.auc == (0.5, 0.5, 0.5)
    assert of_constant.strength == 0.5
    assert conclusion([of_constant]) == "nothing in the files but the pictures themselves tells the label"


def test_what_a_collection_alone_shows_does_not_count():
    given = trial(400, 40)
    own = Property("size", words=(given.components.astype(str),))
    mixed = ShortcutTrial((given.components % 2).astype(np.int8), given.components)
    (found,) = measure_shortcuts([own], mixed)
    assert found.auc.value == 0.5


def test_what_one_label_alone_has_tells_the_label_and_counts_as_missing_together():
    given = trial(400, 40)
    quality = np.where(given.labels == 0, 80.0, np.nan)
    alone = Property("JPEG quality", (quality,))
    (found,) = measure_shortcuts([alone], given)
    assert (found.auc, found.images) == (None, 200)
    assert (found.only, found.share, found.strength) == ("photographs", 1.0, 1.0)
    assert verdict(found) == (
        "JPEG quality alone: only photographs have it (100% of them): this set measures JPEG qualities"
    )
    assert "JPEG quality alone tells the label" in conclusion([found])
    assert all_together([alone], given).auc.value == 1.0


def test_bins_hold_missing_numbers_by_themselves_and_cover_all_others():
    column = np.array([1.0, 2, 3, 4, np.nan, 100, -5])
    each = Property("x", (column,), (np.array(list("aabbbcc")),))
    rows = binned_rows([each], np.array([True] * 5 + [False] * 2))
    # The words that are known have the last two columns.
    assert (rows[:, :-2].sum(axis=1) == 1).all()
    assert rows[4, 0] == 1
    assert rows[:4, 0].sum() == 0
    assert rows[5, -2:].sum() == 0


def test_pairs_are_compared_within_folds():
    labels, fold = np.array([0, 1, 0, 1, 1]), np.array([0, 0, 1, 1, 2])
    values = np.array([0.5, 0.4, 0.9, 0.95, 0.0])
    assert ordered_pairs(labels, values, fold)(np.arange(5)) == 0.5
    assert np.isnan(ordered_pairs(labels, values, np.arange(5))(np.arange(5)))


def test_in_one_fold_the_share_is_the_auc_of_any_draw():
    random = np.random.default_rng(3)
    labels, values = random.integers(0, 2, 80), random.integers(0, 12, 80) / 4
    share = ordered_pairs(labels, values, np.zeros(80, dtype=np.int64))
    for _ in range(20):
        index = random.integers(0, 80, 80)
        assert share(index) == pytest.approx(roc_auc_score(labels[index], values[index]))


def test_a_manifest_tells_what_files_once_were():
    rows = [("PNG", "", "1024", "1024"), ("JPEG", "95", "4000", "3000"), ("JPEG", "70", "x", "")]
    images = Dataset(
        tuple(
            Labelled("", 0, more={"original_format": f, "jpeg_quality": q, "width": w, "height": h, "camera": "z"})
            for f, q, w, h in rows
        )
    )
    found = {each.name: each for each in stated_properties(images, ["camera"])}
    assert set(found) == {"original format", "original JPEG quality", "original size", "column camera"}
    assert found["original size"].present.tolist() == [True, True, False]
    assert found["original JPEG quality"].present.tolist() == [False, True, True]
    assert found["original size"].words[1].tolist() == ["True", "False", ""]


def test_what_was_not_measured_is_never_nothing():
    """An all-clear where nothing was measured: each property lacks figures, so that the conclusion must say so."""
    reason = "all photographs come from one collection"
    unknown = [Shortcut(name, None, 60, reason) for name in ("size", "format")]
    assert conclusion(unknown) == f"not measured whether the files tell the label: {reason}"
    chance = Shortcut("metadata", Interval(0.5, 0.5, 0.5), 60)
    assert conclusion([chance, *unknown]) == "nothing that was measured tells the label; not measured: size, format"
    nobody = Shortcut("JPEG quality", None, 0, "no image has it")
    assert conclusion([chance, nobody]) == "nothing in the files but the pictures themselves tells the label"
    open_ = Shortcut("bytes per pixel", Interval(0.5, 0.0, 1.0), 8)
    assert conclusion([chance, open_]).startswith("the set is too small to say whether the files tell the label: bytes")
    assert verdict(open_).endswith("too few images, or collections, to say")
    assert conclusion([chance], across_labels=3).endswith("; 3 pairs of duplicates have both labels")


def test_a_property_that_few_images_of_one_label_have_tells_little():
    given = trial(400, 40)
    metadata = np.where((given.labels == 1) & (np.arange(400) < 40), "C2PA", "").astype(np.str_)
    (found,) = measure_shortcuts([Property("metadata", words=(metadata,))], given)
    assert (found.only, found.share, found.strength) == ("generated images", 0.1, 0.55)
    (found,) = measure_shortcuts([Property("metadata", words=(np.where(np.arange(400) < 5, metadata, ""),))], given)
    assert (found.only, found.strength) == ("", 0.5)


# The review: images whose label a model out of fold disagrees with.


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
