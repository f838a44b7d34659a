"""Two benches compared: their figures, and image by image."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from d2f import D2FError
from d2f.evaluate.bench import ROWS
from d2f.evaluate.compare import COLUMNS, changes_page, compare_images, compare_results
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


# What got better and worse between two benches, image by image, with thumbnails.

LABELS = {"a": "real", "b": "generated", "c": "generated", "d": "real"}


def bench(folder: Path, chain: str, judged: dict[str, tuple[float, str]]) -> str:
    """Write a bench's rows: of each image its ratio and verdict, clean and (the same) under an attack."""
    folder.mkdir()
    rows = []
    for attack in ("none", "jpeg-60"):
        for name, (llr, verdict) in judged.items():
            path = folder.parent / f"{name}.png"
            if not path.exists():
                Image.fromarray(np.full((40, 60, 3), 20 * len(rows), np.uint8)).save(path)
            facts = (str(path), name * 64, LABELS[name], "flux" if LABELS[name] == "generated" else "", "hands")
            rows.append((*facts, attack, chain, "", llr, verdict))
            rows.append((*facts, attack, chain, "noise/plain", llr, verdict))
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(COLUMNS)})
    pq.write_table(table, folder / ROWS)
    return str(folder)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    before = {"a": (2.0, "generated"), "b": (0.1, "inconclusive"), "c": (3.0, "generated"), "d": (-3.0, "real")}
    after = {"a": (-1.0, "real"), "b": (1.5, "generated"), "c": (-2.0, "real"), "d": (-4.0, "real")}
    return bench(tmp_path / "old", "one", before), bench(tmp_path / "new", "other", after)


def test_verdicts_that_got_better_and_worse(folders: tuple[str, str]) -> None:
    (found,) = compare_images(*folders, [("one", "other")])
    assert [(Path(one.path).stem, one.attack, one.step) for one in found.worse()] == [
        ("c", "none", -2),
        ("c", "jpeg-60", -2),
    ]
    assert [Path(one.path).stem for one in found.better()] == ["a", "a", "b", "b"]
    assert found.better()[0].gain == pytest.approx(3.0)
    assert found.table().rows == (("none", "4", "2", "1", "1", "1"), ("jpeg-60", "4", "2", "1", "1", "1"))


def test_the_page_shows_them_worse_first(folders: tuple[str, str]) -> None:
    page = changes_page(compare_images(*folders, [("one", "other")]))
    assert page.count('<img alt="" src="data:image/jpeg;base64,') == 6
    assert page.index("generated → real") < page.index("generated → real", page.index("Better"))
    assert "<h3>Worse: 2 verdicts</h3>" in page
    assert "http" not in page


def test_what_cannot_be_compared(folders: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(D2FError, match="no image in common"):
        compare_images(*folders, [("one", "third")])
    with pytest.raises(D2FError) as caught:
        compare_images(folders[0], str(tmp_path / "gone"), [("one", "other")])
    assert caught.value.problems[0].code == "D2F002"
