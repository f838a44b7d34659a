"""The sentences of the Wiener finding, on made-up results of every outcome."""

from __future__ import annotations

import numpy as np
import pytest
from wiener_finding import directions, finding, numbers
from wiener_finding.left_out import Added, Part
from wiener_finding.pushes import Push
from wiener_finding.shares import Shares

from d2f.metrics import Draws, Interval

DRAWS = Draws(np.arange(40), np.arange(40) % 2, draws=101)
NAN = float("nan")


def drawn(value, spread=0.0):
    """A figure on the sample and on draws evenly about it; differences of two of one spread have no width."""
    return np.concatenate([[value], np.linspace(value - spread, value + spread, 101)])


def shares(copies=((0.6, 0.6), (0.6, 0.6), (0.6, 0.6)), **more):
    """Shares right of generated images and of photographs on each copy, and figures as {(over, copy): drawn}."""
    found = {}
    for copy, (generated, real) in enumerate(copies):
        found["both", copy, "right_generated"] = np.atleast_1d(generated) * np.ones(102)
        found["both", copy, "right_real"] = np.atleast_1d(real) * np.ones(102)
    for figure in ("auc", "true_positive", "evasion", "new_false_alarms"):
        for over in ("both", "generated", "real"):
            for copy in range(3):
                found[over, copy, figure] = more.get(figure, {}).get((over, copy), drawn(0.7))
    return Shares(found, DRAWS)


def sides(generated, real):
    return finding.Sides(Interval(generated, 0, 1), Interval(real, 0, 1))


@pytest.mark.parametrize(
    ("clean", "filtered", "noisy", "expected"),
    [
        ((0.97, 0.95), 0.01, 0.02, "as told"),
        ((0.90, 0.90), 0.05, 0.05, "as told"),
        ((0.97, 0.95), 0.01, 0.06, "noise helps"),
        ((0.97, 0.95), 0.051, 0.0, "not beaten"),
        ((0.97, 0.95), 0.99, 0.99, "not beaten"),
        ((0.97, 0.89), 0.02, 0.02, "beaten, never right"),
        ((0.89, 0.97), 0.02, 0.60, "beaten, never right"),
        ((0.60, 0.60), 0.40, 0.40, "never right"),
        ((0.20, 0.99), 0.06, 0.00, "never right"),
    ],
)
def test_the_outcome_is_decided_by_the_stated_shares(clean, filtered, noisy, expected):
    assert finding.outcome(sides(*clean), sides(filtered, 0.5), sides(noisy, 0.5)) == expected


@pytest.mark.parametrize(
    ("copies", "headline"),
    [
        (
            ((0.97, 0.95), (0.01, 0.99), (0.02, 0.99)),
            "The finding comes out as it is told: `single` is right on nearly",
        ),
        (((0.97, 0.95), (0.01, 0.99), (0.40, 0.90)), "The finding comes out but for the noise: `single` is right"),
        (((0.97, 0.95), (0.90, 0.80), (0.90, 0.80)), "The finding does not come out: `single` is right on nearly"),
        (((0.70, 0.70), (0.01, 0.99), (0.01, 0.99)), "Half of the finding comes out: `single` is wrong on all"),
        (((0.61, 0.58), (0.70, 0.45), (0.66, 0.50)), "The finding does not come out: `single` is not right on nearly"),
    ],
)
def test_the_first_paragraph_says_what_comes_out_and_gives_its_numbers(copies, headline):
    said = finding.first_paragraph("single", shares(copies))
    assert said.startswith(f"**{headline}")
    for generated, real in copies:
        assert f"{100 * generated:.1f} % [{100 * generated:.1f}, {100 * generated:.1f}] and {100 * real:.1f} %" in said
    assert "at least 90 % of either kind. All: at least 95 %." in said
    assert finding.never_right(shares(copies)) == (min(copies[0]) < 0.9)


def test_every_outcome_has_its_headline_and_every_pair_of_changes_its_words():
    assert len({*finding.HEADLINES.values()}) == 5
    assert set(finding.SHIFTS) == {(one, other) for one in ("rises", "falls", "") for other in ("rises", "falls", "")}
    assert len({*finding.SHIFTS.values()}) == 9


@pytest.mark.parametrize(
    ("generated", "real", "expected"),
    [
        (-0.1, 0.1, "more images of both kinds look real"),
        (0.1, -0.1, "more images of both kinds look generated"),
        (-0.1, -0.1, "more images of either kind for the other"),
        (0.1, 0.1, "right on more images of both kinds"),
        (-0.1, 0.0, "right on fewer generated images, and of photographs no change shows"),
        (0.1, 0.0, "right on more generated images, and of photographs no change shows"),
        (0.0, -0.1, "right on fewer photographs, and of generated images no change shows"),
        (0.0, 0.1, "right on more photographs, and of generated images no change shows"),
        (0.0, 0.0, "no change shows in what it is right on"),
    ],
)
def test_a_shift_names_the_kinds_that_change_sides(generated, real, expected):
    said = finding.shift(shares(((0.6, 0.6), (0.6 + generated, 0.6 + real), (0.6, 0.6))))
    assert expected in said
    assert f"{100 * generated:+.1f} points" in said
    assert f"photographs {100 * real:+.1f} points" in said


def test_a_change_whose_interval_holds_zero_does_not_show():
    clean, filtered = drawn(0.6, 0.1), drawn(0.55, -0.1)
    said = finding.shift(shares(((clean, 0.6), (filtered, 0.6), (0.6, 0.6))))
    assert "no change shows in what it is right on" in said
    assert "-5.0 points [-24.0, +14.0]" in said


@pytest.mark.parametrize(
    ("clean", "filtered", "begins", "ends"),
    [
        (0.9, 0.8, "It ranks worse: AUC 0.900", "0.800 [0.800, 0.800] filtered."),
        (0.7, 0.8, "It ranks better: AUC 0.700", "filtered."),
        (0.7, 0.7, "No change shows in how it ranks: AUC 0.700", "filtered."),
        (0.9, 0.3, "It ranks worse", "It then ranks the wrong way round."),
        (0.9, 0.5, "It ranks worse", "That is not told apart from guessing."),
    ],
)
def test_ranking(clean, filtered, begins, ends):
    said = finding.ranking(shares(auc={("both", 0): drawn(clean), ("both", 1): drawn(filtered)}))
    assert said.startswith(begins)
    assert said.endswith(ends)


@pytest.mark.parametrize(
    ("filtered", "auc", "threshold"),
    [((0.7, 0.5), 0.7, True), ((0.5, 0.7), 0.7, True), ((0.5, 0.5), 0.7, False), ((0.7, 0.5), 0.6, False)],
)
def test_a_threshold_is_lost_where_both_kinds_go_one_way_and_the_order_holds(filtered, auc, threshold):
    found = shares(((0.6, 0.6), filtered, (0.6, 0.6)), auc={("both", 1): drawn(auc)})
    assert ("takes its threshold from it" in finding.ranking(found)) is threshold


@pytest.mark.parametrize(
    ("noisy", "expected"),
    [(0.8, "brings generated images back"), (0.4, "takes more generated images"), (0.6, "makes no difference")],
)
def test_noise_on_top_is_compared_with_the_filter_alone(noisy, expected):
    said = finding.noise(shares(((0.9, 0.9), (0.6, 0.6), (noisy, 0.6))))
    assert expected in said
    assert f"({100 * (noisy - 0.6):+.1f} points" in said


@pytest.mark.parametrize(
    ("generated", "real", "rank", "ends"),
    [
        (0.4, 0.9, "it ranks lower (AUC 0.400", "alone (0.900 [0.900, 0.900]), as a push towards `real` makes it."),
        (
            0.9,
            0.4,
            "it ranks higher (AUC 0.900",
            "alone (0.400 [0.400, 0.400]), as a push towards `generated` makes it.",
        ),
        (0.7, 0.7, "Whether generated images alone are filtered (AUC 0.700", "makes no difference that shows."),
    ],
)
def test_laying(generated, real, rank, ends):
    said = finding.laying(shares(auc={("generated", 1): drawn(generated), ("real", 1): drawn(real)}))
    assert rank in said
    assert said.endswith(ends)


def test_escapes_are_of_all_images_of_their_kind():
    of = {("both", 0): drawn(0.5)}, {("both", 1): drawn(0.125, 0.1)}, {("both", 1): drawn(0.0625)}
    said = finding.escapes(shares(true_positive=of[0], evasion=of[1], new_false_alarms=of[2]))
    assert "calls 50.0 % [50.0, 50.0] of all generated images so clean" in said
    assert "12.5 % [3.0, 22.0] of all are so called no longer" in said
    assert "6.2 % [6.2, 6.2] of all photographs newly are" in said


@pytest.mark.parametrize(
    ("auc", "lost", "ranks", "escape"),
    [
        (0.9, 0.1, "it ranks better than `single` (AUC +0.200 [", "and fewer of all generated images escape it (-60.0"),
        (0.5, 0.9, "it ranks worse than `single` (AUC -0.200 [", "and more of all generated images escape it (+20.0"),
        (0.7, 0.7, "it shows no difference in ranking from `single` (AUC +0.000 [", "and no difference shows in how"),
    ],
)
def test_a_chain_is_compared_with_the_first_under_the_filter(auc, lost, ranks, escape):
    found = shares(auc={("both", 1): drawn(auc)}, evasion={("both", 1): drawn(lost)})
    said = finding.against(found, "single", shares())
    assert ranks in said
    assert escape in said


def push(member, label, low, high, copy=1):
    return Push(member, copy, label, Interval((low + high) / 2, low, high), (0, 0, 0), 0.0, 9)


def test_members_that_go_one_way_are_named_together_and_opposite_ones_noticed():
    pushes = [push("a/plain", 1, 0.1, 0.2), push("a/plain", 0, 0.1, 0.3), push("b/plain", 1, 0.3, 0.4)]
    pushes += [push("b/plain", 0, 0.1, 0.2), push("c/plain", 1, -0.4, -0.1), push("c/plain", 0, -0.1, 0.1)]
    pushes += [push("d/plain", 1, -0.2, 0.1), push("d/plain", 0, -0.2, 0.1), push("e/plain", 1, 0.5, 0.6)]
    pushes += [push("a/plain", 1, -0.2, -0.1, copy=2), push("a/plain", 0, -0.2, -0.1, copy=2)]
    said = list(directions.push_sentences(pushes, [f"{name}/plain" for name in "abcdef"]))
    assert said[0] == (
        "Under wiener 7x7: `a/plain` and `b/plain`: towards `generated`, whatever the image; `c/plain`: generated "
        "images towards `real`, photographs in no direction that shows; `d/plain`: no direction that shows; "
        "`e/plain`: generated images towards `generated`, photographs without a word; `f/plain`: nothing to say of "
        "any image."
    )
    assert said[1] == "So its members are pushed opposite ways on generated images."
    assert said[2].startswith("Under wiener 7x7 + noise: `a/plain`: towards `real`, whatever the image; `b/plain`, ")
    assert len(said) == 3


@pytest.mark.parametrize(("low", "high", "expected"), [(0.1, 0.2, "generated"), (-0.2, -0.1, "real"), (NAN, NAN, "")])
def test_a_direction_needs_an_interval_beyond_zero(low, high, expected):
    assert directions.towards(push("a/plain", 1, low, high)) == expected


def added(name, *values):
    around = tuple(Interval(value, value - 0.01, value + 0.01) for value in values)
    return Added(Part("view", name, (0,)), around, around)


def test_parts_that_add_or_cost_are_named_copy_by_copy():
    found = [added("plain", 0.1, 0.0, 0.0), added("half", 0.1, -0.1, 0.0), added("soft", 0.0, 0.1, 0.0)]
    assert list(directions.added_sentences("robust", found)) == [
        "Clean, view `plain` and view `half` add to the ranking; of the rest no difference shows.",
        "Under wiener 7x7, view `soft` adds to the ranking; it ranks better without view `half`; of the rest no "
        "difference shows.",
        "Under wiener 7x7 + noise, no part makes a difference that shows.",
    ]
    assert next(directions.added_sentences("robust", found[:1])) == "Clean, view `plain` adds to the ranking."
    assert list(directions.added_sentences("single", [])) == [
        "`single` has one member only: there is nothing to leave out."
    ]


def test_numbers_without_bounds_or_value_are_written_as_they_are():
    assert numbers.share(Interval(0.61, 0.52, 0.704)) == "61.0 % [52.0, 70.4]"
    assert numbers.points(Interval(-0.09, NAN, NAN)) == "-9.0 points"
    assert numbers.figure(Interval(NAN, NAN, NAN)) == ""
    assert numbers.listed(["a"]) == "a"
    assert numbers.listed(["a", "b", "c"]) == "a, b and c"
