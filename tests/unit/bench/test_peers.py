import numpy as np
import pytest

from d2f import D2FError
from d2f.data.dataset import Dataset, Labelled
from d2f.evaluate.external import read_peer
from d2f.evaluate.score import ScoreTable


@pytest.fixture
def table(tmp_path):
    paths = ["set/real/a.png", "set/real/b.png", "set/generated/a.png", "set/generated/c.png"]
    images = Dataset(tuple(Labelled(path, i // 2) for i, path in enumerate(paths)), "set")
    return ScoreTable(images, tuple("abcd"), ("none", "jpeg-60"), ("x/plain",), np.zeros((4, 2, 1)))


def read(tmp_path, table, text):
    path = tmp_path / "other.csv"
    path.write_text(text, "utf-8")
    return read_peer(str(path), table)


def test_paths_are_found_as_they_stand_below_the_set_or_by_their_ending(tmp_path, table):
    text = "path,score\nset/real/a.png,1\nreal/b.png,2\n/elsewhere/generated/a.png,3\nc.png,4\na.png,9\nz.png,9\n"
    peer = read(tmp_path, table, text)
    assert peer.values[:, 0].tolist() == [1, 2, 3, 4]
    assert np.isnan(peer.values[:, 1]).all()
    assert (peer.name, peer.verdicts, peer.calibrated) == ("other", None, False)


def test_attacks_and_verdicts(tmp_path, table):
    rows = [
        "real/a.png,1,,real",
        "real/a.png,5,jpeg-60,FAKE",
        "real/b.png,2,none,unsure",
        "c.png,4,,ai",
        "c.png,4,x,ai",
    ]
    peer = read(tmp_path, table, "\n".join(["path,score,attack,verdict", *rows]))
    assert peer.values[0].tolist() == [1, 5]
    assert peer.verdicts[:, 0].tolist() == [-1, 0, 0, 1]
    assert peer.verdicts[0].tolist() == [-1, 1]


def test_probabilities_are_judged_as_a_chains_are(tmp_path, table):
    peer = read(tmp_path, table, "path,probability\nreal/a.png,0.2\nreal/b.png,0.5\nc.png,0.9\n")
    assert peer.calibrated
    assert peer.values[[0, 1, 3], 0] == pytest.approx([np.log(0.25), 0, np.log(9)])
    assert peer.verdicts[:, 0].tolist() == [-1, 0, 0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,score\na,1\n", "columns path and score"),
        ("path,score\nreal/a.png,x\n", "'x' is not a number"),
        ("path,probability\nreal/a.png,1.5\n", "out of range"),
        ("path,score\nreal/a.png,1\n", "names 1 of the 4"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, table, text, words):
    with pytest.raises(D2FError, match=words) as raised:
        read(tmp_path, table, text)
    assert raised.value.problems[0].code == "D2F605"
