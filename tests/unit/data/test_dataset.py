"""Labelled sets: found in folders and manifests, their columns, written, and limited to a number."""

from __future__ import annotations

import os
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from d2f import D2FError
from d2f.data.dataset import Dataset, Labelled, column_value, columns_of, limited, load_dataset, write_manifest
from d2f.data.groups import components, digest, digest_of, require_one_label
from d2f.images.files import find_images
from d2f.images.read import load_image


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


def test_files_of_a_set_that_are_passed_over_are_counted(tmp_path):
    touch(tmp_path, "real/a.jpg", "generated/x/b.jpg", "real/c.CR2", "real/d.jxl", "generated/e")
    (tmp_path / "generated/e").write_bytes(b"\x89PNG\r\n\x1a\n")
    images = load_dataset(tmp_path)
    assert len(images) == 3
    assert "2 files passed over: 1 .cr2, 1 .jxl" in images.notes


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


@pytest.mark.parametrize(
    "names", [("AI/real/a.jpg", "AI/fake/b.jpg"), ("photos/real/nature/a.jpg", "photos/ai/0_real/b.png")]
)
def test_two_label_words_in_one_path_that_disagree_are_an_error_that_names_both(tmp_path, names):
    touch(tmp_path, *names)
    if len({"ai", "real"} & set(names[0].lower().split("/"))) < 2:
        names = names[::-1]
    with pytest.raises(D2FError) as error:
        load_dataset(tmp_path)
    assert codes(error) == ["D2F602"]
    first, second = [part for part in names[0].split("/")[:-1] if part.lower() in ("ai", "real", "0_real")]
    assert f"the folders '{first}' and '{second}' of" in error.value.problems[0].message


def test_a_word_that_is_no_label_here_is_ignored_and_more_words_are_understood(tmp_path):
    touch(tmp_path, "AI/human/a.jpg", "AI/synthetic/b.jpg")
    with pytest.raises(D2FError, match="it holds the folders 'AI'") as error:
        load_dataset(tmp_path, {"ai": "ignore"})
    assert codes(error) == ["D2F601"]
    found = load_dataset(tmp_path, {"ai": "ignore", "human": "real", "Synthetic": "generated"})
    assert [(os.path.basename(image.path), image.label, image.collection) for image in found] == [
        ("a.jpg", 0, "AI"),
        ("b.jpg", 1, "AI"),
    ]
    assert "labels by folder: 'AI/human' real (1), 'AI/synthetic' generated (1)" in found.notes
    with pytest.raises(D2FError, match="cannot mean 'fake'"):
        load_dataset(tmp_path, {"human": "fake"})


def test_folders_that_gave_a_label_are_listed_unless_they_are_the_usual_two(tmp_path):
    touch(tmp_path, "photos/real/a.jpg", "photos/fake/b.jpg", "photos/fake/c.jpg")
    assert "labels by folder: 'photos/fake' generated (2), 'photos/real' real (1)" in load_dataset(tmp_path).notes
    touch(tmp_path / "usual", "real/a.jpg", "generated/x/b.jpg")
    assert not any("labels by folder" in note for note in load_dataset(tmp_path / "usual").notes)


def test_a_labelled_folder_is_walked_as_a_run_walks(tmp_path):
    """Links are followed; hidden files and folders, and suffixes of no image, are left out."""
    touch(tmp_path / "far", "a.jpg", "b.png")
    touch(tmp_path / "set", "generated/x/c.jpg", "generated/x/._c.jpg", "generated/.trash/d.jpg", "generated/x/e.txt")
    (tmp_path / "set/real").symlink_to(tmp_path / "far")
    found = load_dataset(tmp_path / "set")
    assert [image.path for image in found] == list(find_images([str(tmp_path / "set")]))
    assert [(os.path.basename(image.path), image.label) for image in found] == [
        ("c.jpg", 1),
        ("a.jpg", 0),
        ("b.png", 0),
    ]


def test_an_image_that_is_named_twice_counts_once_and_is_said(tmp_path):
    touch(tmp_path, "x/a.jpg", "b.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "b.jpg")
    rows = ["x/a.jpg,real", "./x/../x/a.jpg,real", "b.jpg,fake", "link.jpg,fake"]
    (tmp_path / "m.csv").write_text("\n".join(["path,label", *rows]))
    found = load_dataset(tmp_path / "m.csv")
    assert [os.path.basename(image.path) for image in found] == ["a.jpg", "b.jpg"]
    assert any(note.startswith("2 images are named more than once") for note in found.notes)
    (tmp_path / "m.csv").write_text("\n".join(["path,label", "x/a.jpg,real", f"{tmp_path}/x/a.jpg,fake"]))
    with pytest.raises(D2FError, match="is labelled both real and generated") as error:
        load_dataset(tmp_path / "m.csv")
    assert codes(error) == ["D2F602"]


def test_files_of_the_same_bytes_are_one_component_and_never_have_both_labels(tmp_path):
    images = Dataset(tuple(Labelled(f"{i}.jpg", i % 2) for i in range(4)))
    assert components(images, ["a", "b", "a", "c"]).tolist() == [0, 1, 0, 2]
    require_one_label(images, ["a", "b", "a", "c"])
    with pytest.raises(D2FError, match=r"1 pairs of files of the same bytes have both labels.*'0.jpg' and '3.jpg'"):
        require_one_label(images, ["a", "b", "c", "a"])


def test_numbers_as_labels_are_noted(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "m.csv").write_text("path,label\na.jpg,0\nb.jpg,1\n")
    assert "labels 0 and 1 are read as 0 real, 1 generated" in load_dataset(tmp_path / "m.csv").notes


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x.zip", b"PK\x03\x04 whatever", "it is no table"),
        ("x.jsonl", b'{"path": "a.jpg", "label": "real"}\n', "it is JSON, and no table"),
        ("x.pdf", b"%PDF-1.7", "it is no table"),
        ("m.csv", b"path;label\na.jpg;real\n", "the separator looks like ';'"),
        ("m.csv", b"file,label\na.jpg,real\n", "no column path (columns: 'file', 'label')"),
        ("m.csv", "path,label\na.jpg,real\n".encode("utf-16"), "it is not UTF-8 text"),
        ("m.csv", b'path,label\na.jpg,real\n"b.jpg,real\nc.jpg,real\n', "unexpected end of data"),
        ("m.csv", b"path,label\n,real\n", "a row has no path"),
        ("m.csv", b"path,label,label\na.jpg,real,fake\n", "two columns are called 'label'"),
    ],
)
def test_what_is_no_manifest_says_what_is_wrong(tmp_path, name, data, words):
    touch(tmp_path, "a.jpg")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(D2FError) as error:
        load_dataset(tmp_path / name)
    assert codes(error) == ["D2F605"]
    assert words in error.value.problems[0].message


def test_headings_may_have_capitals_and_blanks(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "m.csv").write_text("Path, Label\na.jpg, real\nb.jpg, fake\n")
    assert load_dataset(tmp_path / "m.csv").labels.tolist() == [0, 1]


def test_a_path_with_windows_separators_is_hinted_at(tmp_path):
    touch(tmp_path, "real/a.jpg")
    (tmp_path / "m.csv").write_text("path,label\nreal\\a.jpg,real\nreal\\b.jpg,real\n")
    with pytest.raises(D2FError) as error:
        load_dataset(tmp_path / "m.csv")
    there, gone = error.value.problems
    assert there.notes == ("with / in place of \\ it is there",)
    assert gone.notes == ()
    unread = load_image(str(tmp_path / "real\\a.jpg"))
    assert unread.failure.message == "No such file or directory; with / in place of \\ it is there"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ('"real/a.jpg"', "without the quotes it is there"),
        ("real/a.jpg  ", "without the blanks around it, it is there"),
        ("real/ a.jpg", "without the blanks around it, it is there"),
    ],
)
def test_a_path_with_quotes_or_blanks_is_hinted_at(tmp_path, path, hint):
    touch(tmp_path, "real/a.jpg")
    assert load_image(f"{tmp_path}/{path}").failure.message == f"No such file or directory; {hint}"
    assert load_image(f"{tmp_path}/gone {path}").failure.message == "No such file or directory"


# Columns.

IMAGE = Labelled("a.png", 1, "flux", "blog", "anna", "g7", {"width": "256", "form": ""})


def test_attributes_and_columns_of_the_manifest_are_found_alike():
    found = [column_value(IMAGE, column) for column in ("label", "generator", "source", "collection", "group", "width")]
    assert found == ["1", "flux", "blog", "anna", "g7", "256"]


def test_a_column_that_is_empty_or_not_there_has_the_empty_value():
    assert column_value(IMAGE, "form") == ""
    assert column_value(IMAGE, "camera") == ""


def test_the_columns_of_a_set_are_those_of_any_image():
    other = Labelled("b.png", 0, more={"camera": "x", "form": ""})
    known = ("label", "generator", "source", "collection", "group")
    assert columns_of([IMAGE, other]) == (*known, "camera", "form", "width")
    assert columns_of([]) == known


# Manifests written.


def test_what_is_written_reads_back(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a,b.png", "ü.png"):
        (tmp_path / "in" / name).write_bytes(b"x")
    images = Dataset(
        (
            Labelled(str(tmp_path / "in/a,b.png"), 0, "", "phone", "hands", "g", MappingProxyType({"camera": "X"})),
            Labelled(str(tmp_path / "in/ü.png"), 1, 'so "called"', "", "", ""),
        )
    )
    target = tmp_path / "out/list.csv"
    write_manifest(target, images, {"part": ["train", "test"]})
    found = load_dataset(target)
    assert found[0].path.endswith("in/a,b.png")
    assert [(i.label, i.generator, i.source, i.collection, i.group) for i in found] == [
        (0, "", "phone", "hands", "g"),
        (1, 'so "called"', "", "", ""),
    ]
    assert [dict(image.more) for image in found] == [{"camera": "X", "part": "train"}, {"camera": "", "part": "test"}]
    assert target.read_text("utf-8").splitlines()[1].startswith('"../in/a,b.png",real,')


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(D2FError, match="cannot be written") as error:
        write_manifest(tmp_path / "file/list.csv", Dataset(()))
    assert error.value.problems[0].code == "D2F004"


# Sets limited to a number of images.


def dataset(*groups):
    listed = [(label, name) for label, name, count in groups for _ in range(count)]
    return Dataset(tuple(Labelled(f"{i}", label, collection=name) for i, (label, name) in enumerate(listed)))


@pytest.mark.parametrize("seed", range(3))
def test_every_stratum_keeps_its_share(seed):
    whole = dataset((0, "a", 100), (0, "b", 50), (1, "a", 50), (1, "c", 200))
    part = limited(whole, 40, seed)
    assert len(part) == 40
    for label, name, share in ((0, "a", 10), (0, "b", 5), (1, "a", 5), (1, "c", 20)):
        assert abs(sum((i.label, i.collection) == (label, name) for i in part) - share) <= 1


def test_small_strata_are_drawn_in_proportion():
    whole = dataset(*[(i % 2, f"c{i}", 1) for i in range(300)])
    assert len(limited(whole, 30)) == 30
    first = [limited(whole, 30, seed).images for seed in range(2)]
    assert first[0] != first[1]


def test_it_repeats_keeps_the_order_and_gives_all_where_all_is_asked():
    whole = dataset((0, "a", 20), (1, "b", 20))
    assert limited(whole, 7, 5).images == limited(whole, 7, 5).images
    numbers = [int(image.path) for image in limited(whole, 7)]
    assert numbers == sorted(numbers)
    assert limited(whole, 40) is whole
    assert np.array_equal(limited(whole, 40).labels, whole.labels)
