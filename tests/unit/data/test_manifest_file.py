from types import MappingProxyType

import pytest

from d2f import D2FError
from d2f.data.dataset import Dataset, Labelled, load_dataset, write_manifest


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
