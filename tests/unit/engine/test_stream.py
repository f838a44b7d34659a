"""A run as a stream: lazy, in order, bounded, stopped at once; files decoded ahead; and what observers are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from d2f import D2FError, ImageFile, StageFinished, Tiles
from d2f.engine import prefetch as ahead
from d2f.engine.local import score_images
from d2f.engine.prefetch import BudgetClosed, MemoryBudget, prefetch
from d2f.images.read import Bounds, Unread, load_image

from .toys import Network, TileFunction, Whole, image_of, picture, plan_of, step


def mean(pixels: Any) -> float:
    return float(pixels.mean())


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("d2f-")]


def endless(taken: list[int]) -> Iterator[ImageFile]:
    for number in count():
        taken.append(number)
        yield picture(number % 7)


def test_images_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []
    rows = score_images(plan_of({"d": (Whole(mean, True), ["plain"])}), endless(taken), workers=2)
    for number, _ in enumerate(islice(rows, 200)):
        assert len(taken) <= number + 2 * 2 + 16 + 2
    rows.close()  # type: ignore[attr-defined]
    assert threads() == []


def test_a_bounded_number_waits_for_a_batch() -> None:
    taken: list[int] = []
    plan = plan_of({"n": (Network(Tiles(size=16, batch=500)), ["plain"]), "d": (Whole(mean), ["plain"])})
    rows = score_images(plan, endless(taken))
    next(rows)
    assert len(taken) <= 64 + 2 * 500
    rows.close()  # type: ignore[attr-defined]


def test_large_images_are_worked_on_one_after_the_other() -> None:
    at_once, most = [0], [0]
    lock = threading.Lock()

    def slow(pixels: Any) -> float:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.02)
        with lock:
            at_once[0] -= 1
        return 0.0

    shared = np.zeros((15_000, 7_000, 3), np.uint8)
    image = ImageFile("big", b"", "0" * 64, "PNG", 7_000, 15_000, shared)
    list(score_images(plan_of({"d": (Whole(slow, True), ["plain"])}), [image] * 4, workers=4))
    assert most[0] == 1


def test_closing_early_ends_the_workers_and_gives_up_images_under_way() -> None:
    done: list[int] = []

    def slow_but_for_the_first(pixels: Any) -> float:
        if pixels.any():
            time.sleep(0.05)
            done.append(1)
        return 0.0

    def images() -> Iterator[ImageFile]:
        yield image_of(np.zeros((8, 8, 3), np.uint8))
        yield from endless([])

    detectors = {f"d{number}": (Whole(slow_but_for_the_first, True), ["plain"]) for number in range(400)}
    rows = score_images(plan_of(detectors), images(), workers=2)
    next(rows)
    before, begun = len(done), time.perf_counter()
    rows.close()  # type: ignore[attr-defined]
    assert time.perf_counter() - begun < 10, "an image would take 20 seconds"
    assert len(done) - before <= 2
    assert threads() == []


def test_an_interrupt_ends_a_run_at_once() -> None:
    script = textwrap.dedent(
        """
        import time
        from itertools import count
        from tests.unit.engine.toys import Whole, picture, plan_of
        from d2f.engine.local import score_images
        from d2f.engine.prefetch import prefetch

        def slow(pixels):
            time.sleep(0.05)
            return 0.0

        detectors = {f"d{number}": (Whole(slow, True), ["plain"]) for number in range(20)}
        for number, row in enumerate(score_images(plan_of(detectors), map(picture, count()), workers=2)):
            print(number, flush=True)
        """
    )
    root = os.path.join(os.path.dirname(__file__), "..", "..", "..")
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        begun = time.perf_counter()
        _, errors = process.communicate(timeout=30)
    assert time.perf_counter() - begun < 15
    assert process.returncode == -signal.SIGINT
    assert errors.strip().endswith("KeyboardInterrupt")
    assert "Exception ignored" not in errors


def test_a_bug_in_the_engine_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("d2f.engine.local.tile_corners", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(score_images(plan_of({"n": (Network(Tiles(size=16)), ["plain"])}), [picture(0)]))
    assert threads() == []


def test_observers_are_told_of_every_stage() -> None:
    events: list[StageFinished] = []
    views = {"v": (step("a", lambda p, _: p),), "w": (step("a", lambda p, _: p), step("b", lambda p, _: p))}
    plan = plan_of(
        {"d": (Whole(mean, True), ["plain"]), "n": (Network(Tiles(2, 16, "grid", batch=4)), ["v", "w"])}, views
    )
    list(score_images(plan, map(picture, range(10)), observe=events.append))
    images = Counter[tuple[str, str, str]]()
    for event in events:
        images[event.kind, event.name, event.view] += event.images
        assert 0 <= event.seconds < 60
    assert images == {
        ("preprocessor", "apply", "v"): 10,
        ("preprocessor", "apply", "w"): 10,
        ("detector", "d", "plain"): 10,
        ("detector", "n", "v"): 10,
        ("detector", "n", "w"): 10,
    }


def test_an_observer_that_raises_costs_only_itself() -> None:
    def broken(_: StageFinished) -> None:
        raise RuntimeError("no")

    rows = list(score_images(plan_of({"d": (Whole(mean), ["plain"])}), [picture(0)], observe=broken))
    assert rows[0].members[0].error is None


def test_an_observer_shared_by_a_run_is_called_by_one_thread_at_a_time(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def watch(_: StageFinished) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.0005)
        inside[0] -= 1

    path = tmp_path / "a.png"
    Image.fromarray(picture(0).pixels).save(path)
    plan = plan_of({"d": (Whole(mean, True), ["plain"])})
    list(score_images(plan, prefetch([str(path)] * 60, workers=3, observe=watch), workers=3, observe=watch))
    assert most[0] == 1


# Files decoded ahead: in order, bounded, stopped at once.


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


# Memory does not grow with the number of images.

STATUS = Path("/proc/self/statm")


def resident() -> int:
    """Bytes of this process in memory."""
    return int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not STATUS.exists(), reason="reads Linux's account of memory")
def test_five_thousand_images_take_no_more_than_five_hundred(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture(0, 128, 128).pixels).save(path)
    views = {"v": (step("invert", lambda p, _: 255 - p),)}
    plan = plan_of(
        {
            "at-once": (Whole(lambda _: 0.0, True), ["plain", "v"]),
            "batched": (Whole(lambda _: 0.0), ["plain", "v"]),
            "tiles": (TileFunction(Tiles(2, 32, "grid"), lambda _: 0.0), ["plain", "v"]),
        },
        views,
    )
    seen: list[int] = []
    for number, _ in enumerate(score_images(plan, prefetch(repeat(str(path), 5000)))):
        if number % 250 == 0:
            seen.append(resident())
    assert number == 4999
    early, late = np.median(seen[2:6]), np.median(seen[-4:])
    # 5,000 images of 48 KiB are 240 MiB.
    assert late - early < 8 * 2**20
