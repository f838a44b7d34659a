import shutil

import numpy as np
import pytest

from d2f import D2FError
from d2f.data.audit import audit_lines, audit_set, source_audit
from d2f.data.dataset import load_dataset
from d2f.data.facts import inspect
from d2f.data.review import repair
from tests.unit.data.audit.sets import write_given_away


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
