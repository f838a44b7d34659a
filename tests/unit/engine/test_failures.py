"""What breaks costs its own members, with a code; the rest stands."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from d2f import Abstention, D2FError, Failure, Missing, Score, Tiles, WeightsMissing
from d2f.engine.findings import load_once
from d2f.engine.judge import Judge, judged_rows
from d2f.engine.local import LocalEngine, Unread, score_images
from d2f.engine.plan import Decision

from .toys import Apply, Bytes, Sigmoid, SumOfLogits, TileFunction, Whole, image_of, picture, plan_of, step


def mean(pixels: Any) -> float:
    return float(pixels.mean())


def dark(pixels: Any) -> float:
    """Raise on a black picture."""
    if not pixels.any():
        raise RuntimeError("too\ndark")
    return mean(pixels)


BLACK = image_of(np.zeros((48, 64, 3), np.uint8), "black.png")


def mixed(count: int = 20) -> list[Any]:
    images: list[Any] = [picture(seed) for seed in range(count)]
    images[5] = BLACK
    return images


@pytest.mark.parametrize("thread_safe", [True, False])
def test_detector_that_raises_costs_the_guilty_image_only(thread_safe: bool) -> None:
    plan = plan_of({"bad": (Whole(dark, thread_safe), ["plain"]), "good": (Whole(mean), ["plain"])})
    found = list(score_images(plan, mixed()))
    assert len(found) == 20
    for index, scored in enumerate(found):
        assert scored.members[1].score is not None
        assert (scored.members[0].error is None) == (index != 5)
    assert found[5].members[0].error == Failure("D2F401", "RuntimeError: too dark")
    assert math.isnan(found[5].scores[0])


def test_tile_that_raises_costs_the_guilty_image_only() -> None:
    stage = TileFunction(Tiles(count=3, size=16, pick="grid", batch=7), dark)
    calls: list[int] = []

    def padded(batch: Any) -> Any:
        calls.append(len(batch))
        if any(not tile.any() for tile in batch[:1]) or (len(calls) % 2 and not batch[2].any()):
            raise RuntimeError("dark")
        return [mean(tile) for tile in batch]

    stage.score = padded  # type: ignore[method-assign]
    found = list(score_images(plan_of({"t": (stage, ["plain"])}), mixed()))
    assert set(calls) == {7}
    assert [index for index, scored in enumerate(found) if scored.members[0].error is not None] == [5]


@pytest.mark.parametrize(
    ("returned", "code"),
    [
        (math.nan, "D2F403"),
        (math.inf, "D2F403"),
        (Score(-math.inf), "D2F403"),
        (None, "D2F403"),
        ("0.5", "D2F403"),
        (True, "D2F403"),
        (1j, "D2F403"),
        (np.array([0.5]), "D2F403"),
        (10**400, "D2F403"),
    ],
)
@pytest.mark.parametrize("thread_safe", [True, False])
def test_outcome_that_is_no_score(returned: Any, code: str, thread_safe: bool) -> None:
    stage = Whole(lambda p: returned if not p.any() else mean(p), thread_safe)
    found = list(score_images(plan_of({"d": (stage, ["plain"])}), mixed()))
    errors = {index: scored.members[0].error for index, scored in enumerate(found) if scored.members[0].error}
    assert list(errors) == [5]
    assert errors[5].code == code


@pytest.mark.parametrize("returned", [0.5, np.float32(0.5), np.float64(0.5), np.array(0.5), Score(0.5, (), "seen")])
def test_outcomes_that_are_scores(returned: Any) -> None:
    (scored,) = score_images(plan_of({"d": (Whole(lambda _: returned), ["plain"])}), [picture(0)])
    assert scored.scores == (0.5,)
    assert type(scored.members[0].score) is float
    assert scored.members[0].evidence == ("seen" if isinstance(returned, Score) else None)


@pytest.mark.parametrize("returned", [[], [1.0] * 9, None, 3.0])
def test_wrong_number_of_scores(returned: Any) -> None:
    stage = Whole()
    stage.score = lambda batch: returned  # type: ignore[method-assign]
    (scored,) = score_images(plan_of({"d": (stage, ["plain"]), "good": (Whole(), ["plain"])}), [picture(0)])
    assert scored.members[0].error is not None
    assert scored.members[0].error.code == ("D2F402" if isinstance(returned, list) else "D2F401")
    assert scored.members[1].score is not None


def test_abstentions_of_tiles() -> None:
    tiles = Tiles(count=4, size=16, pick="grid", pool="mean", batch=3)
    image = picture(1)
    values = {tile.tobytes(): float(index) for index, tile in enumerate(_tiles(image))}

    def half(tile: Any) -> Any:
        value = values.get(tile.tobytes(), 9.0)
        return Abstention("flat") if value % 2 else value

    (scored,) = score_images(plan_of({"t": (TileFunction(tiles, half), ["plain"])}), [image])
    assert scored.scores == (1.0,)
    np.testing.assert_equal(scored.members[0].tiles, (0.0, math.nan, 2.0, math.nan))
    silent = TileFunction(tiles, lambda _: Abstention("flat"))
    (scored,) = score_images(plan_of({"t": (silent, ["plain"])}), [image])
    assert scored.members[0].abstained == "flat"


def _tiles(image: Any) -> Any:
    return [image.pixels[top : top + 16, left : left + 16] for top in (0, 32) for left in (0, 48)]


@pytest.mark.parametrize(("pool", "expected"), [("mean", 2.5), ("median", 1.5), ("max", 7.0)])
def test_pools(pool: Any, expected: float) -> None:
    image = picture(1)
    values = {tile.tobytes(): value for tile, value in zip(_tiles(image), (0.0, 1.0, 2.0, 7.0), strict=True)}
    stage = TileFunction(Tiles(count=4, size=16, pick="grid", pool=pool), lambda t: values.get(t.tobytes(), 99.0))
    (scored,) = score_images(plan_of({"t": (stage, ["plain"])}), [image])
    assert scored.scores == (expected,)
    assert scored.members[0].tiles == (0.0, 1.0, 2.0, 7.0)


def test_image_smaller_than_a_tile_is_abstained_on() -> None:
    stage = TileFunction(Tiles(size=224), mean)
    (scored,) = score_images(plan_of({"t": (stage, ["plain"])}), [picture(1, 200, 300)])
    assert scored.members[0].abstained == "the view is 300x200 pixels, smaller than a tile of 224x224"


@pytest.mark.parametrize("thread_safe", [True, False])
@pytest.mark.parametrize(
    ("function", "code"),
    [
        (lambda p, _: 1 / 0, "D2F404"),
        (lambda p, _: p[..., 0], "D2F405"),
        (lambda p, _: p.astype(float), "D2F405"),
        (lambda p, _: p[:0], "D2F405"),
        (lambda p, _: None, "D2F405"),
        (lambda p, _: np.zeros((2, 2, 4), np.uint8), "D2F405"),
    ],
)
def test_preprocessor_that_fails_costs_the_members_behind_it(function: Any, code: str, thread_safe: bool) -> None:
    broken = step("broken", function, thread_safe)
    after = Apply(lambda p, _: p)
    plan = plan_of(
        {"d": (Whole(mean), ["plain", "v", "w"])},
        {"v": (broken,), "w": (broken, step("x", lambda p, _: after.apply(p, 0)))},
    )
    (scored,) = score_images(plan, [picture(1)])
    assert scored.members[0].score is not None
    for member in scored.members[1:]:
        assert member.error is not None
        assert member.error.code == code
        assert "preprocessor 'apply' of view 'v'" in member.error.message
    assert after.calls == 0


class Loads(Whole):
    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__(mean)
        self.error = error
        self.loads = 0

    def load(self) -> None:
        self.loads += 1
        if self.error is not None:
            raise self.error


REASON = "weights 'resnet/robust' are not here; d2f weights pull resnet"
MISSING = WeightsMissing.of("D2F502", "weights 'resnet/robust' are not here", "d2f weights pull resnet")


def test_missing_weights_end_the_run_before_the_first_image() -> None:
    plan = plan_of({"r": (Loads(MISSING), ["plain"]), "g": (Whole(mean), ["plain"])})
    with pytest.raises(D2FError) as caught:
        score_images(plan, iter([picture(1)]))
    assert caught.value.exit == 3
    (problem,) = caught.value.problems
    assert problem.notes == (
        "without them detector 'r' cannot score any image",
        "d2f weights pull resnet",
        "to go on without, and have every row say so: --allow-missing",
    )


def test_missing_stages_that_are_allowed_are_named_in_every_row() -> None:
    class Cleaner(Apply):
        def load(self) -> None:
            raise MISSING

    from d2f.engine.plan import Step

    cleaner = Cleaner(lambda p, _: p)
    stage = Loads(MISSING)
    plan = plan_of({"r": (stage, ["plain"]), "g": (Whole(mean), ["plain", "v"])}, {"v": (Step("clean", cleaner),)})
    plan = replace(plan, allow_missing=True)
    found = list(score_images(plan, [picture(1), picture(2)]))
    for scored in found:
        assert scored.missing == (Missing("r", REASON), Missing("g", REASON))
        assert scored.members[0].abstained == REASON
        assert scored.members[1].score is not None
        assert scored.members[2].abstained == scored.members[0].abstained
    assert stage.batches == []
    assert cleaner.calls == 0


def test_every_stage_that_cannot_be_loaded_is_named_before_the_first_image() -> None:
    plan = plan_of({"a": (Loads(OSError("disk")), ["plain"]), "b": (Loads(D2FError.of("D2F504", "misfit")), ["plain"])})
    with pytest.raises(D2FError) as caught:
        score_images(plan, iter([]))
    assert caught.value.exit == 3
    assert [problem.code for problem in caught.value.problems] == ["D2F209", "D2F504"]
    assert "detector 'a'" in str(caught.value)
    assert "OSError: disk" in str(caught.value)


def test_a_stage_is_loaded_once_for_all_runs() -> None:
    stage = Loads()
    plan = plan_of({"a": (stage, ["plain"])})
    engine = LocalEngine(plan)
    for _ in range(2):
        assert [s.scores[0] for s in engine.score([picture(1)])] == [mean(picture(1).pixels)]
        list(score_images(plan, [picture(2)]))
    assert stage.loads == 1


def test_a_stage_that_is_missing_is_tried_once_however_often_verdicts_are() -> None:
    stage = Loads(MISSING)
    decision = Decision({"g/plain": Sigmoid()}, SumOfLogits(), stability=(step('{"use": "same"}', lambda p, _: p),))
    plan = plan_of({"r": (stage, ["plain"]), "g": (Whole(mean), ["plain"])}, decision=decision)
    engine = LocalEngine(replace(plan, allow_missing=True))
    judge = Judge(engine.plan)
    for number in range(2):
        assert [row.verdict for row in judged_rows(engine, judge, [picture(number)])] == ["generated"]
    assert stage.loads == 1


def test_a_stage_may_load_another_while_it_loads() -> None:
    inner = Loads()

    class Outer(Loads):
        def load(self) -> None:
            load_once(inner)
            super().load()

    outer = Outer()
    loading = threading.Thread(target=load_once, args=(outer,), daemon=True)
    loading.start()
    loading.join(20)
    assert not loading.is_alive()
    assert (outer.loads, inner.loads) == (1, 1)


def test_unread_files_keep_their_place() -> None:
    unread = Unread("gone.jpg", Failure("D2F301", "no"), sha256="ab", width=3, height=4, format="JPEG")
    images = [picture(0), unread, picture(1), unread]
    found = list(score_images(plan_of({"d": (Whole(mean), ["plain"])}), images))
    assert [scored.path for scored in found] == ["0.png", "gone.jpg", "1.png", "gone.jpg"]
    assert found[1].failure == unread.failure
    assert (found[1].sha256, found[1].width, found[1].height, found[1].format) == ("ab", 3, 4, "JPEG")
    assert found[1].members == ()


def test_a_plan_that_cannot_be_run_is_refused() -> None:
    with pytest.raises(D2FError, match="D2F123"):
        score_images(plan_of({"b": (Bytes(mean), ["v"])}, {"v": (step("x", lambda p, _: p),)}), [])
    with pytest.raises(D2FError, match="D2F120"):
        score_images(plan_of({"b": (Whole(mean), ["nowhere"])}), [])


def test_source_that_breaks_off_loses_nothing() -> None:
    def images() -> Any:
        yield from (picture(seed) for seed in range(13))
        raise D2FError.of("D2F605", "the manifest broke off")

    found: list[str] = []
    rows = score_images(plan_of({"d": (Whole(mean), ["plain"])}), images())
    with pytest.raises(D2FError, match="D2F605"):  # noqa: PT012
        for scored in rows:
            found.append(scored.path)
    assert found == [f"{seed}.png" for seed in range(13)]


def test_exit_of_a_stage_is_its_own_failure() -> None:
    def leave(_: Any) -> float:
        raise SystemExit(4)

    (scored,) = score_images(plan_of({"d": (Whole(leave), ["plain"]), "g": (Whole(mean), ["plain"])}), [picture(0)])
    assert scored.members[0].error == Failure("D2F401", "SystemExit: 4")
    assert scored.members[1].score is not None


class Unspeakable(Exception):
    """An exception that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def raising(_: Any) -> float:
    raise Unspeakable


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (Score(1.0, ("x",)), "D2F403", "returned \"('x',)\" as scores of tiles, which are not numbers"),  # type: ignore[arg-type]
        (Score(1.0, None), "D2F403", "returned '' as scores of tiles, which are not numbers"),  # type: ignore[arg-type]
        (Score(Unspeakable()), "D2F403", "returned '', which is not a finite number"),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_a_score_costs_its_own_member(said: Any, code: str, words: str) -> None:
    plan = plan_of({"bad": (Whole(lambda _: said), ["plain"]), "good": (Whole(mean), ["plain"])})
    (found,) = score_images(plan, [picture(1)])
    assert found.members[0].error == Failure(code, words)
    assert found.members[1].score == mean(picture(1).pixels)


def test_an_exception_without_words_costs_its_own_member() -> None:
    (found,) = score_images(plan_of({"bad": (Whole(raising), ["plain"])}), [picture(1)])
    assert found.members[0].error == Failure("D2F401", "Unspeakable")


@pytest.mark.parametrize(
    ("said", "evidence", "abstained"),
    [
        (Score(1.0, evidence="two\nlines"), "two lines", None),
        (Score(1.0, evidence={"a": 1}), "{'a': 1}", None),  # type: ignore[arg-type]
        (Score(1.0, evidence=None), None, None),  # type: ignore[arg-type]
        (Abstention("no\nmanifest"), None, "no manifest"),
        (Abstention(None), None, "it gave no reason"),  # type: ignore[arg-type]
    ],
)
def test_words_of_a_detector_are_one_line_of_text(said: Any, evidence: str | None, abstained: str | None) -> None:
    (found,) = score_images(plan_of({"d": (Whole(lambda _: said), ["plain"])}), [picture(1)])
    assert (found.members[0].evidence, found.members[0].abstained) == (evidence, abstained)


def test_a_stage_that_cannot_be_loaded_is_named_with_its_module_and_the_next_step() -> None:
    with pytest.raises(D2FError) as caught:
        score_images(plan_of({"a": (Loads(SystemExit(3)), ["plain"])}), iter([]))
    (problem,) = caught.value.problems
    assert problem.notes[0].startswith("SystemExit: 3   at ")
    assert problem.notes[1:] == (
        f"it comes from module {Loads.__module__}",
        "to see what is wrong with it: d2f plugin check whole",
    )
