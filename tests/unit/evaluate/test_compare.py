import copy

import pytest

from d2f import D2FError
from d2f.evaluate.compare import compare_results
from d2f.metrics.figures import FIGURES


def result(name="a", **figures):
    told = {figure: [None, None, None] for figure in FIGURES} | figures
    return {
        "data": {"digest": "sha256:1"},
        "protocol": "crop",
        "attacked": "both",
        "cautions": [],
        "systems": [{"name": name, "figures": {"none": told}}],
    }


@pytest.mark.parametrize(
    ("figure", "old", "new", "fell"),
    [
        ("auc", [0.9, 0.85, 0.95], 0.86, False),
        ("auc", [0.9, 0.85, 0.95], 0.84, True),
        ("ece", [0.05, 0.02, 0.08], 0.07, False),
        ("ece", [0.05, 0.02, 0.08], 0.09, True),
        ("ece", [0.05, 0.02, 0.08], 0.0, False),
        ("auc", [0.9, None, None], 0.89, True),
    ],
)
def test_a_figure_falls_by_more_than_its_interval_in_its_own_direction(figure, old, new, fell):
    found = compare_results(result(**{figure: old}), result(**{figure: [new, None, None]}), [figure])
    assert [change.fell for change in found.changes] == [fell]
    assert found.warnings == (
        ("1 of 1 old figures have no interval: any fall of theirs counts",) if old[1] is None else ()
    )


def test_chains_are_paired_by_name_and_single_ones_whatever_they_are_called():
    old, new = result("a", auc=[0.9, 0.8, 1.0]), result("b", auc=[0.7, 0.6, 0.8])
    assert compare_results(old, new, ["auc"]).changes[0].fell
    new["systems"].append(copy.deepcopy(old["systems"][0]))
    assert [change.system for change in compare_results(old, new, ["auc"]).changes] == ["a"]
    with pytest.raises(D2FError, match="in common"):
        compare_results(old, new, ["ece"])


def test_other_images_are_warned_of():
    old, new = result(auc=[0.9, 0.8, 1.0]), result(auc=[0.9, 0.8, 1.0])
    new["data"]["digest"] = "sha256:2"
    assert compare_results(old, new, ["auc"]).warnings == ("the images differ: sha256:1 and sha256:2",)


def test_a_results_own_cautions_are_repeated():
    old, new = result(auc=[0.9, 0.8, 1.0]), result(auc=[0.9, 0.8, 1.0])
    new["cautions"] = ["chain 'a' was fitted to these images: its figures are optimistic"]
    assert compare_results(old, new, ["auc"]).warnings == (f"new: {new['cautions'][0]}",)
