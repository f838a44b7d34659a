import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from d2f.data.audit import conclusion, verdict
from d2f.data.dataset import Dataset, Labelled
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
from d2f.metrics.logistic import fit_logistic, log_odds


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
