import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from d2f.data.dataset import load_dataset
from d2f.evaluate.bench_report import page
from d2f.evaluate.measured import curves
from d2f.evaluate.systems import System
from d2f.report import charts
from tests.unit.evaluate.bench_toys import bench, chain
from tests.unit.evaluate.toys import write_set


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    write_set(folder, 30, collections=3)
    (folder / "real/hands0/0.png").rename(folder / "real/hands0/<b>&.png")
    _, found = bench([chain(tmp_path_factory.mktemp("chain"))], load_dataset(folder), ("noise:8",))
    return json.loads(json.dumps(found, allow_nan=False))


class Tags(HTMLParser):
    """Collects tags and their balance."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        if tag not in {"meta", "img", "br", "line", "polyline", "circle", "rect"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in {"line", "polyline", "circle", "rect"}:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing(found):
    text = page(found)
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not tags.seen & {"script", "link", "img", "iframe"}
    assert "http" not in text
    assert "url(" not in text
    for words in ("AUC by attack", "Verdicts that change under attack", "<polyline", "Reliability", "noise:sigma=8"):
        assert words in text


def test_changed_are_listed_and_escaped_and_shown_on_request(found):
    changed = found["systems"][0]["changed"]
    assert changed
    assert all(set(one["attacked"]) == {"noise:sigma=8"} for one in changed)
    assert all(one["clean"] not in ("inconclusive", one["attacked"]["noise:sigma=8"]) for one in changed)
    assert "<b>" not in page(found)
    assert len(re.findall(r"data:image/jpeg;base64", page(found, thumbnails=True))) == min(100, len(changed))


def test_curves_by_hand():
    labels = np.array([0, 0, 1, 1], dtype=np.int8)
    probability = np.array([0.05, 0.65, 0.65, 0.95])
    system = System("x", "chain", np.log(probability / (1 - probability))[:, None], None)
    found = curves(system, labels, 0)
    assert found["roc"] == [[0, 0], [0, 0.5], [0.5, 1], [1, 1]]
    assert found["reliability"] == [[0.05, 0, 0.25], [0.65, 0.5, 0.5], [0.95, 1, 0.25]]
    assert sum(found["histogram"]["real"]) == pytest.approx(1)
    assert found["histogram"]["generated"][28] == 0.5


def test_a_chart_by_hand():
    # The drawing area is 220 x 220 at (40, 14); 40 remain below and 14 at the right.
    bar = charts.bar(0.5, 0.75, 0.5, "real", "5 %")
    assert bar.startswith('<rect class="real" x="150.0" y="124.0" width="55.0" height="110.0">')
    assert charts.x(1 / 3) == 113.3
    assert 'viewBox="0 0 274 274" width="274" height="274"' in charts.chart("scores", "across", "up", [bar])


def test_a_missing_thumbnail_is_left_out(found, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    lost = json.loads(json.dumps(found))
    for one in lost["systems"][0]["changed"]:
        one["path"] = str(tmp_path / "gone.png")
    assert "data:image" not in page(lost, thumbnails=True)
