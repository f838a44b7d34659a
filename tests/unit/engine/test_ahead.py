"""Files decoded ahead: in order, bounded, stopped at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f import D2FError, ImageFile, StageFinished
from d2f.engine import prefetch as ahead
from d2f.engine.prefetch import BudgetClosed, MemoryBudget, prefetch
from d2f.images.read import Bounds, Unread, load_image


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Thirty pictures of 10 to 300 pixels a side, one missing, one broken."""
    found = []
    rng = np.random.default_rng(0)
    for number in range(30):
        path = tmp_path / f"{number}.png"
        side = 10 * (number + 1)
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
        found.append(str(path))
    Path(found[3]).unlink()
    Path(found[7]).write_bytes(b"")
    return found


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("held", [1, 200_000, 2**30])
def test_order_and_content(paths: list[str], workers: int, held: int) -> None:
    found = list(prefetch(paths, workers=workers, held=held))
    assert [image.path for image in found] == paths
    for image, path in zip(found, paths, strict=True):
        alone = load_image(path)
        if isinstance(image, Unread):
            assert image == alone
        else:
            assert isinstance(alone, ImageFile)
            np.testing.assert_array_equal(image.pixels, alone.pixels)


def test_paths_are_taken_as_they_are_needed(paths: list[str]) -> None:
    taken = 0

    def counted() -> Iterator[str]:
        nonlocal taken
        for path in paths * 10:
            taken += 1
            yield path

    images = prefetch(counted(), workers=2)
    for number in range(100):
        next(images)
        assert taken <= number + 14
    images.close()  # type: ignore[attr-defined]


def test_bytes_are_bounded(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    held, most = {}, [0]
    lock = threading.Lock()

    def watched(path: str, bounds: Bounds, reserve: object) -> ImageFile | Unread:
        image = load_image(path, bounds, reserve)  # type: ignore[arg-type]
        with lock:
            if isinstance(image, ImageFile):
                held[path] = image.pixels.nbytes + len(image.data)
            most[0] = max(most[0], sum(held.values()))
        return image

    monkeypatch.setattr(ahead, "load", watched)
    largest = 300 * 300 * 3 * 2
    for image in prefetch(paths, workers=4, held=600_000):
        with lock:
            held.pop(image.path, None)
        time.sleep(0.005)
    assert most[0] <= 600_000 + 2 * largest


def test_bounds_reach_the_files(paths: list[str]) -> None:
    found = list(prefetch(paths, Bounds(pixels=10_000)))
    assert [isinstance(image, Unread) for image in found] == [index in (3, 7) or index > 9 for index in range(30)]


def test_source_that_breaks_off_loses_nothing(paths: list[str]) -> None:
    def broken() -> Iterator[str]:
        yield from paths[:9]
        raise D2FError.of("D2F605", "the manifest broke off")

    found: list[str] = []
    with pytest.raises(D2FError, match="D2F605"):  # noqa: PT012
        for image in prefetch(broken()):
            found.append(image.path)
    assert found == paths[:9]


def test_closing_early_ends_the_readers(paths: list[str]) -> None:
    images = prefetch(paths * 100, workers=3, held=1)
    next(images)
    images.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("d2f-read")]


def test_observer_is_told_of_each_file(paths: list[str]) -> None:
    events: list[StageFinished] = []
    list(prefetch(paths, observe=events.append))
    assert [(event.kind, event.name, event.images) for event in events] == [("decode", "decode", 1)] * 30


def test_budget_lets_the_next_in_line_pass_the_bound() -> None:
    budget = MemoryBudget(100)
    budget.reserve(0, 500)
    waiting = threading.Thread(target=budget.reserve, args=(1, 10))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    budget.release()
    waiting.join(1)
    assert not waiting.is_alive()
    budget.reserve(2, 90)
    budget.close()
    with pytest.raises(BudgetClosed):
        budget.reserve(3, 1)
