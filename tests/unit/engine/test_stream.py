"""A run as a stream: lazy, in order, bounded, stopped at once; and what observers are told."""

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
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from d2f import ImageFile, StageFinished, Tiles
from d2f.engine.local import score_images
from d2f.engine.prefetch import prefetch

from .toys import Network, Whole, image_of, picture, plan_of, step


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
