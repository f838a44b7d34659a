import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import roc_auc_score

from d2f import D2FError, FileBytes
from d2f.bench.judged_set import judge_set
from d2f.bench.report import bench_lines
from d2f.bench.summary import by_collection, overall
from d2f.data.dataset import load_dataset
from d2f.scoring.attack import read_attacks
from d2f.scoring.figures import TITLES
from tests.unit.fitting.toys import toy_chain, write_set

CHAIN = """\
d2f: 1
name: toy
detectors: [{id: noise, use: noise-level}]
calibrate: {noise/plain: {use: platt, with: {slope: -0.7, bias: 5.0}}}
verdict: {real_below: 0.3, generated_above: 0.7}
"""
FORMAT_CHAIN = CHAIN.replace("noise-level", "file-format").replace("slope: -0.7, bias: 5.0", "slope: 4.0, bias: -2.0")


class NoOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileFormat:
    """Reads the format and nothing else."""

    name = "file-format"
    summary = "A toy."
    Options = NoOptions
    wants = FileBytes()

    def __init__(self, options):
        pass

    def score(self, batch):
        return [float(image.data.startswith(b"\x89PNG")) for image in batch]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    write_set(folder, 40, collections=5)
    return load_dataset(folder)


@pytest.fixture
def judged(images, tmp_path):
    chain = toy_chain(tmp_path, CHAIN, refit=False)
    return judge_set(chain, images, "as-is", read_attacks(["jpeg:30"], chain.catalog), workers=1)


def test_figures_are_those_of_the_scores(judged, images):
    found = overall(judged, draws=100)
    scores = judged.table.scores[:, 0, 0]
    assert found["auc"].value == pytest.approx(roc_auc_score(images.labels, -scores))
    probability = 1 / (1 + np.exp(0.7 * scores - 5))
    assert found["false_positive"].value == pytest.approx((probability[images.labels == 0] > 0.7).mean())
    assert found["miss"].value == pytest.approx((probability[images.labels == 1] < 0.3).mean())
    assert all(one.low <= one.value <= one.high for one in found.values())


def test_attacks_have_figures_of_their_own(judged):
    assert judged.table.copies == ("none", "jpeg:quality=30")
    assert not np.array_equal(judged.llr[:, 0], judged.llr[:, 1])


def test_a_detector_of_the_format_is_perfect_as_is_and_blind_under_matched(tmp_path):
    random = np.random.default_rng(0)
    for number in range(40):
        pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        where = tmp_path / "set" / ("generated/x" if number % 2 else "real")
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(where / f"{number}.{'png' if number % 2 else 'jpg'}")
    chain = toy_chain(tmp_path, FORMAT_CHAIN, False, FileFormat)
    dataset = load_dataset(tmp_path / "set")
    assert overall(judge_set(chain, dataset, "as-is"), draws=20)["auc"].value == 1.0
    assert overall(judge_set(chain, dataset, "matched"), draws=20)["auc"].value == 0.5


def test_two_class_collections_come_first_and_others_meet_the_whole_other_class(images, tmp_path):
    moved = images.select([i for i, one in enumerate(images) if one.label == 0 or one.collection != "hands4"])
    judged = judge_set(toy_chain(tmp_path, CHAIN, refit=False), moved, "as-is")
    listed = by_collection(judged, draws=50)
    assert [one.name for one in listed] == ["hands0", "hands1", "hands2", "hands3"]
    assert all(one.two_class and (one.real, one.generated) == (8, 8) for one in listed)
    table = judged.table
    members = [i for i, one in enumerate(table.images) if one.collection == "hands2"]
    expected = roc_auc_score(table.labels[members], -table.scores[members, 0, 0])
    assert listed[2].auc.value == pytest.approx(expected)
    assert listed[2].auc.low < expected <= listed[2].auc.high


def test_a_one_class_collection_has_an_auc_and_one_rate(tmp_path):
    write_set(tmp_path / "set", 24, collections=2)
    for path in (tmp_path / "set/generated/toy/hands1").iterdir():
        path.unlink()
    judged = judge_set(toy_chain(tmp_path, CHAIN, refit=False), load_dataset(tmp_path / "set"), "as-is")
    one = by_collection(judged, draws=50)[1]
    assert (one.name, one.real, one.generated, one.two_class) == ("hands1", 12, 0, False)
    assert np.isnan(one.true_positive)
    others = judged.labels == 1
    mine = np.array([image.collection == "hands1" for image in judged.table.images])
    expected = roc_auc_score(judged.labels[mine | others], judged.llr[mine | others, 0])
    assert one.auc.value == pytest.approx(expected)


def test_the_report_names_every_figure(judged):
    text = "\n".join(bench_lines(judged, draws=30))
    assert "80 images: 40 real, 40 generated, 5 components" in text
    for words in (*TITLES.values(), "jpeg:quality=30", "hands3"):
        assert words in text


def test_an_unfitted_chain_is_refused(images, tmp_path):
    text = CHAIN[: CHAIN.index("calibrate")]
    with pytest.raises(D2FError, match="is not fitted"):
        judge_set(toy_chain(tmp_path, text, refit=False), images)
