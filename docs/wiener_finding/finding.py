"""Whether the finding comes out, and what does: sentences by plain rules, true whatever the numbers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from d2f.metrics import Interval
from wiener_finding.numbers import Direction, change, direction, figure, points, share
from wiener_finding.shares import CLEAN, FILTERED, NOISY, Shares

NEARLY, ALL = 0.90, 0.95
"""Least share that is right of "nearly everything", of either kind; least share that is wrong of "all"."""

Outcome: TypeAlias = Literal["as told", "noise helps", "not beaten", "beaten, never right", "never right"]

HEADLINES: dict[Outcome, str] = {
    "as told": "The finding comes out as it is told: `{name}` is right on nearly everything clean, wrong on all "
    "generated images under the filter, and noise on top does not help.",
    "noise helps": "The finding comes out but for the noise: `{name}` is right on nearly everything clean and wrong on "
    "all generated images under the filter, but not on all of them with noise on top.",
    "not beaten": "The finding does not come out: `{name}` is right on nearly everything clean, and the filter does "
    "not make it wrong on all generated images.",
    "beaten, never right": "Half of the finding comes out: `{name}` is wrong on all generated images under the filter, "
    "but it is not right on nearly everything clean.",
    "never right": "The finding does not come out: `{name}` is not right on nearly everything clean, and the filter "
    "does not make it wrong on all generated images.",
}

SHIFTS: dict[tuple[Direction, Direction], str] = {
    ("falls", "rises"): "more images of both kinds look real to it",
    ("rises", "falls"): "more images of both kinds look generated to it",
    ("falls", "falls"): "it takes more images of either kind for the other",
    ("rises", "rises"): "it is right on more images of both kinds",
    ("falls", ""): "it is right on fewer generated images, and of photographs no change shows",
    ("rises", ""): "it is right on more generated images, and of photographs no change shows",
    ("", "falls"): "it is right on fewer photographs, and of generated images no change shows",
    ("", "rises"): "it is right on more photographs, and of generated images no change shows",
    ("", ""): "no change shows in what it is right on",
}
"""What a filter does, by how the shares of generated images and of photographs on the right side change."""

ONE_WAY = (("falls", "rises"), ("rises", "falls"))


@dataclass(frozen=True)
class Sides:
    """Shares of either kind on the right side of even odds."""

    generated: Interval
    real: Interval


def outcome(clean: Sides, filtered: Sides, noisy: Sides) -> Outcome:
    """Return what of the finding comes out; decided by the shares themselves, not by their intervals."""
    right = _right(clean)
    # The slack lets 0.05 right count as 0.95 wrong.
    beaten, noise = (1 - sides.generated.value >= ALL - 1e-9 for sides in (filtered, noisy))
    if not right:
        return "beaten, never right" if beaten else "never right"
    if not beaten:
        return "not beaten"
    return "as told" if noise else "noise helps"


def never_right(found: Shares) -> bool:
    """Say whether a chain was not right on nearly everything clean, whatever the filter does to it."""
    return not _right(sides(found, CLEAN))


def _right(clean: Sides) -> bool:
    return min(clean.generated.value, clean.real.value) >= NEARLY


def first_paragraph(name: str, found: Shares) -> str:
    """Return what comes out of the finding for the chain that it is told of."""
    clean, filtered, noisy = (sides(found, copy) for copy in (CLEAN, FILTERED, NOISY))
    headline = HEADLINES[outcome(clean, filtered, noisy)].format(name=name)
    numbers = (
        f"Right on generated images and on photographs: clean {_both(clean)}; under the filter {_both(filtered)}; "
        f"with noise on top {_both(noisy)}."
    )
    words = (
        f"(Right: on the right side of even odds. Nearly everything: at least {NEARLY:.0%} of either kind. "
        f"All: at least {ALL:.0%}.)"
    ).replace("%", " %")
    return " ".join((f"**{headline}**", numbers, words, shift(found), ranking(found)))


def sides(found: Shares, copy: int) -> Sides:
    """Return the shares on the right side of even odds on one copy."""
    return Sides(found.of("right_generated", copy), found.of("right_real", copy))


def shift(found: Shares) -> str:
    """Return which kinds change sides under the filter."""
    generated, real = (found.change(f"right_{kind}", FILTERED) for kind in ("generated", "real"))
    what = SHIFTS[direction(generated), direction(real)]
    return f"Under the filter {what} (right on generated images {points(generated)}, on photographs {points(real)})."


def ranking(found: Shares) -> str:
    """Return what the filter does to the order of the images."""
    clean, filtered, difference = found.of("auc", CLEAN), found.of("auc", FILTERED), found.change("auc", FILTERED)
    ranks = {"falls": "It ranks worse", "rises": "It ranks better", "": "No change shows in how it ranks"}
    said = [f"{ranks[direction(difference)]}: AUC {figure(clean)} clean, {figure(filtered)} filtered."]
    if filtered.high < 0.5:
        said.append("It then ranks the wrong way round.")
    elif filtered.low <= 0.5:
        said.append("That is not told apart from guessing.")
    shifted = tuple(direction(found.change(f"right_{kind}", FILTERED)) for kind in ("generated", "real"))
    if shifted in ONE_WAY and not direction(difference):
        said.append("So the filter takes its threshold from it and, as far as these images tell, not its order.")
    return " ".join(said)


def noise(found: Shares) -> str:
    """Return whether noise on top brings generated images back."""
    back = found.change("right_generated", NOISY, since=FILTERED)
    does = {
        "rises": "brings generated images back to the right side",
        "falls": "takes more generated images from the right side",
        "": "makes no difference that shows to generated images",
    }
    return f"Noise on top of the filter {does[direction(back)]} ({points(back)})."


def laying(found: Shares) -> str:
    """Return over which kind alone the filter hurts the order more."""
    difference = found.of_class("auc", FILTERED)
    areas = [figure(found.of("auc", FILTERED, over)) for over in ("generated", "real")]
    pushed = {"falls": ("lower", "real"), "rises": ("higher", "generated")}
    if which := direction(difference):
        rank, towards = pushed[which]
        return (
            f"With generated images alone filtered it ranks {rank} (AUC {areas[0]}) than with photographs alone "
            f"({areas[1]}), as a push towards `{towards}` makes it."
        )
    return (
        f"Whether generated images alone are filtered (AUC {areas[0]}) or photographs alone ({areas[1]}) makes no "
        "difference that shows."
    )


def escapes(found: Shares) -> str:
    """Return what becomes of the verdicts."""
    return (
        f"At its own thresholds it calls {share(found.of('true_positive', CLEAN))} of all generated images so clean; "
        f"under the filter {share(found.of('evasion', FILTERED))} of all are so called no longer, and "
        f"{share(found.of('new_false_alarms', FILTERED))} of all photographs newly are."
    )


def against(found: Shares, name: str, other: Shares) -> str:
    """Return how a chain stands the filter, compared with another one."""
    ranks, lost = found.beyond(other, "auc", FILTERED), found.beyond(other, "evasion", FILTERED)
    better = {"rises": "ranks better than", "falls": "ranks worse than", "": "shows no difference in ranking from"}
    fewer = {
        "rises": "more of all generated images escape it",
        "falls": "fewer of all generated images escape it",
        "": "no difference shows in how many generated images escape it",
    }
    return (
        f"Under the filter it {better[direction(ranks)]} `{name}` (AUC {change(ranks)}), and {fewer[direction(lost)]} "
        f"({points(lost)})."
    )


def _both(found: Sides) -> str:
    return f"{share(found.generated)} and {share(found.real)}"
