"""What got better and worse between two benches, image by image, with thumbnails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from d2f import D2FError
from d2f.evaluate.bench import ROWS
from d2f.evaluate.compare import COLUMNS, changes_page, compare_images

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
