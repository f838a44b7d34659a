import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from d2f import D2FError
from d2f.data.dataset import load_dataset
from d2f.data.groups import digest, digest_of


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def table(dataset, root):
    return [
        (os.path.relpath(i.path, root).replace(os.sep, "/"), i.label, i.generator, i.source, i.collection)
        for i in dataset
    ]


def codes(error):
    return [problem.code for problem in error.value.problems]


def test_real_and_generated_folders_name_generator_and_source(tmp_path):
    touch(tmp_path, "real/flickr/a.jpg", "real/b.PNG", "generated/flux/hands/c.webp", "generated/flux/d.png")
    touch(tmp_path, "real/flickr/notes.txt")
    assert table(load_dataset(tmp_path), tmp_path) == [
        ("generated/flux/d.png", 1, "flux", "flux", ""),
        ("generated/flux/hands/c.webp", 1, "flux", "hands", "hands"),
        ("real/b.PNG", 0, "", "", ""),
        ("real/flickr/a.jpg", 0, "", "flickr", "flickr"),
    ]


@pytest.mark.parametrize(("real", "fake"), [("0_real", "1_fake"), ("nature", "ai"), ("REAL", "FAKE")])
def test_the_fields_own_folder_names_are_understood(tmp_path, real, fake):
    touch(tmp_path, f"{real}/a.jpg", f"{fake}/b.jpg")
    assert [image.label for image in load_dataset(tmp_path)] == [int(real > fake), int(real < fake)]


def test_a_folder_above_both_labels_is_the_collection(tmp_path):
    touch(tmp_path, "progan/val/nature/a.jpg", "progan/val/ai/b.png", "train/real/c.jpg")
    assert table(load_dataset(tmp_path), tmp_path) == [
        ("progan/val/ai/b.png", 1, "progan", "progan", "progan"),
        ("progan/val/nature/a.jpg", 0, "", "progan", "progan"),
        ("train/real/c.jpg", 0, "", "", ""),
    ]


def test_what_was_assumed_is_said(tmp_path):
    touch(tmp_path, "real/a.jpg", "generated/x/b.jpg", "other/c.jpg")
    notes = load_dataset(tmp_path).notes
    assert any("1 images lie under no folder that names a label, such as other/c.jpg" in note for note in notes)
    assert any("2 of 2 images name no collection" in note for note in notes)


def test_a_manifest_in_the_folder_is_used_and_further_columns_kept(tmp_path):
    touch(tmp_path, "real/a.jpg", "x/b.jpg")
    (tmp_path / "manifest.csv").write_text(
        "path,label,generator,source,collection,group,camera\nx/b.jpg,generated,flux,s,c,g,\nreal/a.jpg,0,,s,c,h,Leica\n"
    )
    one, two = load_dataset(tmp_path)
    assert (one.label, one.generator, one.collection, one.group) == (1, "flux", "c", "g")
    assert (two.label, two.more["camera"]) == (0, "Leica")
    assert load_dataset(tmp_path / "manifest.csv").images == (one, two)


def test_a_parquet_manifest_reads_alike(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    columns = {"path": ["a.jpg", "b.jpg"], "label": [0, 1], "generator": [None, "flux"], "collection": ["c", "c"]}
    pq.write_table(pa.table(columns), tmp_path / "manifest.parquet")
    assert table(load_dataset(tmp_path), tmp_path) == [("a.jpg", 0, "", "", "c"), ("b.jpg", 1, "flux", "", "c")]


def test_all_bad_rows_are_named_with_their_line(tmp_path):
    touch(tmp_path, "a.jpg")
    (tmp_path / "m.csv").write_text("path,label\na.jpg,maybe\na.jpg,\ngone.jpg,real\n")
    with pytest.raises(D2FError) as error:
        load_dataset(tmp_path / "m.csv")
    assert codes(error) == ["D2F602", "D2F602", "D2F002"]
    assert [problem.place.line for problem in error.value.problems] == [2, 3, 4]


@pytest.mark.parametrize("text", ["path,kind\na,b\n", 'path,label\n"a,real\n', "path,label\na,real,more\n", ""])
def test_an_unreadable_table_is_an_error_of_its_own(tmp_path, text):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(D2FError) as error:
        load_dataset(tmp_path / "m.csv")
    assert codes(error) == ["D2F605"]


def test_a_damaged_parquet_manifest_is_d2f605(tmp_path):
    (tmp_path / "m.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(D2FError) as error:
        load_dataset(tmp_path / "m.parquet")
    assert codes(error) == ["D2F605"]


@pytest.mark.parametrize(("names", "code"), [((), "D2F601"), (("photos/a.jpg",), "D2F601")])
def test_no_labelled_image_is_an_error(tmp_path, names, code):
    touch(tmp_path, *names)
    with pytest.raises(D2FError) as error:
        load_dataset(tmp_path)
    assert codes(error) == [code]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(D2FError) as error:
        load_dataset(tmp_path / "gone")
    assert codes(error) == ["D2F002"]


def test_select_takes_indices_and_masks(tmp_path):
    touch(tmp_path, "real/a.jpg", "real/b.jpg", "generated/x/c.jpg")
    dataset = load_dataset(tmp_path)
    assert dataset.select([2, 0]).images == (dataset[0], dataset[2])
    assert dataset.select(dataset.labels == 1).images == (dataset[0],)
    assert len(dataset.select(np.array([], dtype=int))) == 0


def test_the_digest_knows_bytes_and_labels_and_nothing_else(tmp_path):
    touch(tmp_path, "real/a.jpg", "generated/x/b.jpg")
    first = digest(load_dataset(tmp_path))
    (tmp_path / "real/a.jpg").rename(tmp_path / "real/z.jpg")
    assert digest(load_dataset(tmp_path)) == first
    (tmp_path / "real/z.jpg").rename(tmp_path / "generated/z.jpg")
    assert digest(load_dataset(tmp_path)) != first
    assert digest_of([("bb", 1), ("aa", 0)]) == digest_of([("aa", 0), ("bb", np.int8(1))])
