import numpy as np
import pytest

from d2f import D2FError
from d2f.data.dataset import Dataset, Labelled
from d2f.evaluate.measured import comparisons, measure
from d2f.evaluate.score import ScoreTable
from d2f.evaluate.systems import System, read_external
from d2f.metrics import Draws


@pytest.fixture
def table(tmp_path):
    paths = ["set/real/a.png", "set/real/b.png", "set/generated/a.png", "set/generated/c.png"]
    images = Dataset(tuple(Labelled(path, i // 2) for i, path in enumerate(paths)), "set")
    return ScoreTable(images, tuple("abcd"), ("none", "jpeg-60"), ("x/plain",), np.zeros((4, 2, 1)))


def read(tmp_path, table, text):
    path = tmp_path / "other.csv"
    path.write_text(text, "utf-8")
    return read_external(str(path), table, table.images)


def test_paths_are_found_below_the_set_or_by_an_ending_that_is_unique(tmp_path, table):
    text = "path,score\nset/real/a.png,1\nreal/b.png,2\n/elsewhere/generated/a.png,3\nc.png,4\na.png,9\nz.png,9\n"
    other = read(tmp_path, table, text)
    assert other.values[:, 0].tolist() == [1, 2, 3, 4]
    assert np.isnan(other.values[:, 1]).all()
    assert (other.name, other.verdicts, other.calibrated) == ("other", None, False)


def test_attacks_and_verdicts(tmp_path, table):
    rows = [
        "real/a.png,1,,real",
        "real/a.png,5,jpeg-60,FAKE",
        "real/b.png,2,none,unsure",
        "c.png,4,,ai",
        "c.png,4,x,ai",
    ]
    other = read(tmp_path, table, "\n".join(["path,score,attack,verdict", *rows]))
    assert other.values[0].tolist() == [1, 5]
    assert other.verdicts[:, 0].tolist() == [-1, 0, 0, 1]
    assert other.verdicts[0].tolist() == [-1, 1]


def test_probabilities_are_judged_as_a_chains_are(tmp_path, table):
    other = read(tmp_path, table, "path,probability\nreal/a.png,0.2\nreal/b.png,0.5\nc.png,0.9\n")
    assert other.calibrated
    assert other.values[[0, 1, 3], 0] == pytest.approx([np.log(0.25), 0, np.log(9)])
    assert other.verdicts[:, 0].tolist() == [-1, 0, 0, 1]


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


def test_a_path_never_names_an_image_by_its_last_part_alone(tmp_path):
    """Of `real/0001.png` and `generated/x/0001.png` a limit may leave one: the other's score is not its own."""
    paths = ["set/real/0001.png", "set/generated/x/0001.png", "set/real/2.png"]
    every = Dataset(tuple(Labelled(path, int("generated" in path)) for path in paths), "set")
    left = every.select([1, 2])
    table = ScoreTable(left, tuple("bc"), ("none",), ("x/plain",), np.zeros((2, 1, 1)))
    (tmp_path / "other.csv").write_text(
        "path,score\ngenerated/x/0001.png,0.9\nreal/0001.png,0.1\n2.png,3\n0001.png,7\n"
    )
    found = read_external(str(tmp_path / "other.csv"), table, every)
    assert sorted(zip([image.path for image in left], found.values[:, 0].tolist(), strict=True)) == [
        ("set/generated/x/0001.png", 0.9),
        ("set/real/2.png", 3.0),
    ]


def test_two_rows_of_one_image_are_refused(tmp_path, table):
    with pytest.raises(D2FError, match=r"two rows name 'set/real/a\.png' under attack 'none'"):
        read(tmp_path, table, "path,score\nreal/a.png,1\nset/real/a.png,2\n")


def test_systems_are_compared_over_the_images_that_both_were_asked_of():
    labels = np.array([0, 1] * 40, dtype=np.int8)
    random = np.random.default_rng(0)
    values = random.normal(labels, 1.0)[:, None]
    asked = np.arange(80) < 40
    whole = System("chain", "chain", values, None)
    half = System("other", "external", np.where(asked[:, None], values, np.nan), None, present=asked[:, None])
    measured = [measure(one, labels, ("none",), Draws(np.arange(80), labels, 20)) for one in (whole, half)]
    (pair, *_) = comparisons(measured)
    assert (pair["figure"], pair["images"]) == ("auc", {"none": 40})
    assert pair["attacks"]["none"]["difference"] == [0.0, 0.0, 0.0]
    assert measured[0].value("none", "auc") != measured[1].value("none", "auc")
