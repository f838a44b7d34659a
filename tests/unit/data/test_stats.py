import numpy as np
import pytest
from PIL import Image

from d2f.data.dataset import load_dataset
from d2f.data.facts import inspect
from d2f.data.stats import set_stats, stats_lines


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for number in range(6):
        (tmp_path / "real/phone").mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(random.integers(0, 256, (90, 120, 3), dtype=np.uint8))
        picture.save(tmp_path / f"real/phone/{number}.jpg", quality=92)
    for number in range(4):
        folder = tmp_path / f"generated/toy-{number % 2}/lab"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path


def test_everything_is_counted_by_label(folder):
    (folder / "real/phone/broken.jpg").write_bytes(b"\xff\xd8\xff")
    seen = inspect(load_dataset(folder))
    found = set_stats(seen)
    assert found.labels == (6, 4)
    assert found.balanced == (4, 4)
    assert found.unread == 1
    assert found.counts["format"] == {"JPEG": (6, 0), "PNG": (0, 4)}
    assert found.counts["JPEG quality"] == {"90-94": (6, 0)}
    assert found.counts["chroma subsampling"] == {"4:2:0": (6, 0)}
    assert found.counts["longer side"] == {"up to 128": (6, 0), "257-512": (0, 4)}
    assert found.counts["generator"] == {"toy-0": (0, 2), "toy-1": (0, 2)}
    assert found.counts["collection"] == {"phone": (6, 0), "lab": (0, 4)}
    assert found.plain()["by"]["format"]["PNG"] == {"real": 0, "generated": 4}
    assert "broken.jpg" in seen.problems[0].message


def test_lines_name_the_most_frequent_and_sum_up_the_others(folder):
    lines = [line.split() for line in stats_lines(set_stats(inspect(load_dataset(folder))), top=1)]
    assert ["real", "6", "0", "=" * 40] in lines
    assert ["generated", "0", "4", "#" * 27] in lines
    assert ["…", "1", "others", "0", "2"] in lines


def test_the_result_does_not_depend_on_threads(folder):
    one, four = (inspect(load_dataset(folder), decode=True, workers=workers) for workers in (1, 4))
    assert one == four
    assert all(each.hash is not None for each in one.reports)
