import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from d2f.data.audit import conclusion, strength, verdict
from d2f.data.dataset import Dataset, Labelled
from d2f.data.shortcuts import (
    Binned,
    Property,
    Trial,
    fit_logistic,
    ordered_pairs,
    scores,
    stated_properties,
    telltales,
    together,
)


def trial(count=400, collections=40):
    labels = (np.arange(count) % 2).astype(np.int8)
    return Trial(labels, np.arange(count) // 2 % collections)


def test_the_classifier_is_scikit_learns():
    random = np.random.default_rng(0)
    rows = (random.random((300, 7)) < 0.4).astype(float)
    labels = (random.random(300) < 1 / (1 + np.exp(-rows @ np.arange(-3, 4)))).astype(np.int8)
    fitted = fit_logistic(rows, labels)
    reference = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-8).fit(rows, labels)
    assert fitted[:-1] == pytest.approx(reference.coef_[0], abs=1e-3)
    assert fitted[-1] == pytest.approx(reference.intercept_[0], abs=1e-3)
    assert scores(fitted, rows) == pytest.approx(reference.decision_function(rows), abs=3e-3)


def test_a_number_that_moves_with_the_label_tells_it_as_its_own_auc_says():
    random, given = np.random.default_rng(1), trial(2000, 200)
    values = random.normal(0, 1, 2000) + given.labels
    (found,) = telltales([Property("quality", (values,))], given)
    # Two normals one deviation apart: AUC = Phi(1 / sqrt 2) = 0.760.
    assert found.auc.value == pytest.approx(0.760, abs=0.03)
    assert found.auc.low < 0.76 < found.auc.high


def test_chance_and_constants_tell_nothing():
    random, given = np.random.default_rng(2), trial(1000, 100)
    noise = Property("format", words=(random.choice(["a", "b", "c"], 1000),))
    constant = Property("metadata", words=(np.full(1000, "none"),))
    of_noise, of_constant = telltales([noise, constant], given)
    assert abs(of_noise.auc.value - 0.5) < 0.06
    assert of_constant.auc == (0.5, 0.5, 0.5)
    assert strength(of_constant) == 0.5
    assert conclusion([of_constant]) == "nothing in the files but the pictures themselves tells the label"


def test_what_a_collection_alone_shows_does_not_count():
    given = trial(400, 40)
    own = Property("size", words=(given.components.astype(str),))
    mixed = Trial((given.components % 2).astype(np.int8), given.components)
    (found,) = telltales([own], mixed)
    assert found.auc.value == 0.5


def test_images_without_the_property_are_left_out_and_count_as_missing_together():
    given = trial(400, 40)
    quality = np.where(given.labels == 0, 80.0, np.nan)
    alone = Property("JPEG quality", (quality,))
    (found,) = telltales([alone], given)
    assert (found.auc, found.images) == (None, 200)
    assert verdict(found) == "JPEG quality alone: not measured, only photographs have it"
    assert together([alone], given).auc.value == 1.0


def test_bins_hold_missing_numbers_apart_and_cover_all_others():
    column = np.array([1.0, 2, 3, 4, np.nan, 100, -5])
    each = Property("x", (column,), (np.array(list("aabbbcc")),))
    binned = Binned.of([each], np.array([True] * 5 + [False] * 2))
    rows = binned.rows([each])
    assert (rows[:, : len(binned.edges[0]) + 2].sum(axis=1) == 1).all()
    assert rows[4, 0] == 1
    assert rows[:4, 0].sum() == 0
    assert rows[5, len(binned.edges[0]) + 2 :].sum() == 0


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
    assert found["original size"].there.tolist() == [True, True, False]
    assert found["original JPEG quality"].there.tolist() == [False, True, True]
    assert found["original size"].words[1].tolist() == ["True", "False", ""]
