"""Learning rates by hand."""

from __future__ import annotations

import pytest

from d2f.train.recipe import ScheduleSettings
from d2f.train.stepping import Rates


def rates(epochs: int = 4, **schedule: object) -> Rates:
    return Rates(ScheduleSettings.model_validate(schedule), 1.0, 10, epochs)


def test_constant_and_warm_up() -> None:
    made = rates(warm_up=4)
    assert [made.rate(update) for update in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_step() -> None:
    made = rates(6, use="step", every=2, factor=0.5)
    assert [made.rate(10 * epoch) for epoch in range(6)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_cosine() -> None:
    made = rates(use="cosine", floor=0.1)
    assert made.rate(0) == 1.0
    assert made.rate(20) == pytest.approx(0.5)
    assert made.rate(40) == pytest.approx(0.1)


def test_plateau_waits_for_its_patience() -> None:
    made = rates(use="plateau", patience=2)
    found = []
    for loss in (1.0, 0.9, 0.95, 0.95, 0.94, 0.93, 0.5):
        made.tell(loss)
        found.append(made.rate(0))
    assert found == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_state_goes_through_a_checkpoint() -> None:
    one, other = (rates(use="plateau", patience=2) for _ in range(2))
    assert one.state["best"] is None
    one.tell(1.0)
    one.tell(1.5)
    other.state = one.state
    one.tell(1.5)
    other.tell(1.5)
    assert one.rate(3) == other.rate(3) == pytest.approx(0.1)
