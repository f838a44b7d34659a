"""What parts add, on tables of scores whose truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from d2f.data.dataset import Dataset, Labelled, load_dataset
from d2f.evaluate.ablate import (
    MEAN,
    WORST,
    _shown,
    ablate_chain,
    ablate_table,
    ablation_lines,
    ablation_markdown,
    ablation_result,
)
from d2f.evaluate.fit import FitRequest, read_fit_recipe
from d2f.evaluate.out_of_fold import out_of_fold
from d2f.evaluate.parts import as_rows
from d2f.evaluate.score import ScoreTable
from d2f.metrics import Interval, cluster_bootstraps, log_likelihood_ratio_cost, roc_auc, true_positive_rate_at
from tests.unit.evaluate.toys import toy_chain, write_set

CHAIN = """\
d2f: 1
name: three
views:
  again: [{use: gaussian-blur, with: {sigma: 0.6}}]
detectors:
  # it knows
  - {id: informed, use: noise-level, views: [plain, again]}
  # it guesses
  - {id: guessing, use: noise-level, with: {silent_above: 1000.0}}
  # it holds
  - {id: guard, use: noise-level, with: {silent_above: 2000.0}}
combine: {use: logistic}
"""
MEMBERS = ("informed/plain", "informed/again", "guessing/plain", "guard/plain")
REQUEST = FitRequest(attacks=("jpeg:quality=60",), folds=3, today=date(2026, 11, 21), workers=1)
DRAWS = 200


def table(count=240, collections=24, seed=0):
    """Two copies: `informed` and its double know clean images only, `guard` knows a little of both."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    side = 2.0 * labels - 1
    scores = np.empty((count, 2, 4))
    scores[:, 0, 0] = 2.0 * side + random.normal(0, 1.5, count)
    scores[:, 1, 0] = random.normal(0, 1.5, count)
    scores[:, :, 1] = scores[:, :, 0]
    scores[:, :, 2] = random.normal(0, 1.0, (count, 2))
    scores[:, :, 3] = 0.7 * side[:, None] + random.normal(0, 1.5, (count, 2))
    listed = tuple(Labelled(f"{i}.png", int(labels[i]), collection=f"c{i // 2 % collections}") for i in range(count))
    digests = tuple(f"{i:064x}" for i in range(count))
    return ScoreTable(Dataset(listed), digests, ("none", "jpeg:quality=60"), MEMBERS, scores)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    return toy_chain(tmp_path_factory.mktemp("chain"), CHAIN)


@pytest.fixture(scope="module")
def found(chain):
    return ablate_table(chain, table(), REQUEST, DRAWS)


@pytest.fixture(scope="module")
def without(found):
    return {(left.kind, left.name): left for left in found.without}


def plainly(chain, scored, columns):
    """Fit some members out of fold with nothing but the parts of a fit; return ratios (images, copies)."""
    members = tuple(scored.members[column] for column in columns)
    recipe = read_fit_recipe(chain)
    recipe = replace(recipe, members=members, calibrators={member: recipe.calibrators[member] for member in members})
    rows = as_rows(replace(scored, members=members, scores=scored.scores[:, :, list(columns)]))
    return out_of_fold(chain.plan.part(columns), recipe, rows, 0.5, 3, 0).llr.reshape(-1, 2)


def test_the_table_says_who_knows_who_guesses_and_who_repeats(without):
    assert without["detector", "informed"].shown == "adds"
    assert without["detector", "guessing"].shown == "no difference shown"
    assert without["detector", "guard"].shown == "adds"
    assert without["view", "plain"].shown == "adds"
    # Each of two that say the same can go; both cannot.
    for part in (("view", "again"), ("member", "informed/plain"), ("member", "informed/again")):
        assert without[part].shown != "adds"
        assert all(abs(without[part].gains[copy, "auc"].value) < 0.02 for copy in ("none", WORST))


def test_a_guard_adds_at_the_worst_attack_only(without):
    guard, informed = without["detector", "guard"], without["detector", "informed"]
    assert guard.gains[WORST, "auc"].low > 0.05
    assert abs(guard.gains["none", "auc"].value) < 0.02
    assert informed.gains["none", "auc"].low > 0.1
    assert guard.worst == "jpeg:quality=60"


def test_a_part_of_one_member_is_measured_once_and_listed_under_each_name(without):
    one, other = without["detector", "guessing"], without["member", "guessing/plain"]
    assert one.members == ("informed/plain", "informed/again", "guard/plain")
    assert (one.figures, one.gains) == (other.figures, other.gains)


def test_every_figure_is_what_a_fit_without_the_part_measures(chain, found, without):
    scored = found.table
    columns = (0, 1, 2)
    weights = as_rows(scored).weights.reshape(-1, 2).sum(axis=1)
    whole, left = plainly(chain, scored, (0, 1, 2, 3)), plainly(chain, scored, columns)
    guard = without["detector", "guard"]
    for copy, name in enumerate(scored.copies):
        assert guard.figures[name, "auc"] == pytest.approx(roc_auc(scored.labels, left[:, copy], weights), abs=1e-12)
        rate = true_positive_rate_at(scored.labels, left[:, copy], 0.05, weights)
        assert guard.figures[name, "tpr_at_5"] == pytest.approx(rate, abs=1e-12)
        cost = log_likelihood_ratio_cost(scored.labels, left[:, copy], weights)
        assert guard.figures[name, "cost"] == pytest.approx(cost, abs=1e-12)
    everywhere = np.mean([guard.figures[name, "cost"] for name in scored.copies])
    assert guard.figures[MEAN, "cost"] == pytest.approx(everywhere, abs=1e-12)

    def gap(index):
        lab, w = scored.labels[index], weights[index]
        both = [[roc_auc(lab, llr[index, copy], w) for copy in (0, 1)] for llr in (whole, left)]
        return [both[0][0] - both[1][0], both[0][1] - both[1][1]]

    clean, attacked = cluster_bootstraps(gap, scored.components, scored.labels, DRAWS, seed=0)
    np.testing.assert_allclose(guard.gains["none", "auc"], clean, atol=1e-12)
    np.testing.assert_allclose(guard.gains[WORST, "auc"], attacked, atol=1e-12)


def test_the_worst_attack_is_each_chains_own(chain):
    scored = table()
    more = np.concatenate([scored.scores, scored.scores[:, :1] + 0.0], axis=1)
    more[:, 2, 3] = np.random.default_rng(5).normal(0, 1, len(more))
    scored = replace(scored, copies=("none", "a", "b"), scores=more)
    left = {(one.kind, one.name): one for one in ablate_table(chain, scored, REQUEST, DRAWS).without}
    informed, guard = left["detector", "informed"], left["detector", "guard"]
    assert (informed.worst, guard.worst) == ("b", "a")
    for one in (informed, guard):
        assert one.figures[WORST, "auc"] == min(one.figures["a", "auc"], one.figures["b", "auc"])


def test_a_chain_with_nothing_left_knows_nothing(tmp_path):
    alone = CHAIN[: CHAIN.index("  # it guesses")].replace(", views: [plain, again]", "") + "combine: {use: logistic}\n"
    scored = table()
    scored = replace(scored, members=MEMBERS[:1], scores=scored.scores[:, :, :1])
    found = ablate_table(toy_chain(tmp_path, alone), scored, REQUEST, DRAWS)
    left = found.without[0]
    assert left.members == ()
    assert left.figures["none", "auc"] == 0.5
    assert left.figures[MEAN, "cost"] == pytest.approx(1.0)
    assert left.shown == "adds"


def test_members_that_never_speak_are_no_error_once_they_are_alone(tmp_path):
    text = CHAIN[: CHAIN.index("  - {id: informed")] + CHAIN[CHAIN.index("  # it guesses") :]
    scored = table()
    scored = replace(scored, members=MEMBERS[2:], scores=scored.scores[:, :, 2:])
    scored.scores[:, :, 1] = np.nan
    found = ablate_table(
        toy_chain(tmp_path, text.split("views:")[0] + text[text.index("detectors:") :]), scored, REQUEST, DRAWS
    )
    (alone,) = (one for one in found.without if one.name == "guessing" and one.kind == "detector")
    assert alone.members == ("guard/plain",)
    assert alone.figures[MEAN, "cost"] == pytest.approx(1.0)
    assert alone.figures["none", "auc"] == 0.5


def test_fewer_members_than_are_needed_are_all_needed(tmp_path):
    text = CHAIN.replace("combine: {use: logistic}", "combine: {use: logistic, need: 4}")
    found = ablate_table(toy_chain(tmp_path, text), table(), REQUEST, DRAWS)
    assert found.without[0].figures["none", "auc"] > 0.5
    assert any("than the 4 that the chain needs" in line for line in ablation_lines(found))


@pytest.mark.parametrize(
    ("bounds", "words"),
    [((0.01, 0.2), "adds"), ((-0.1, 0.1), "no difference shown"), ((-0.2, -0.01), "harms")],
)
def test_words_follow_the_interval(bounds, words):
    assert _shown(Interval(0.0, *bounds)) == words
    assert _shown(Interval(0.0, float("nan"), float("nan"))) == "no difference shown"


def test_what_adds_here_and_harms_there_is_said_so(without):
    left = without["detector", "guard"]
    up, down = Interval(0.1, 0.05, 0.2), Interval(-0.1, -0.2, -0.05)
    there = replace(left, gains={**left.gains, ("none", "auc"): down, (WORST, "auc"): up})
    assert there.shown == "harms clean, adds at the worst attack"
    assert replace(left, gains={**left.gains, ("none", "auc"): down, (WORST, "auc"): down}).shown == "harms"


def test_the_report_the_page_and_the_data_hold_every_part(found):
    lines = list(ablation_lines(found))
    assert lines[0] == "240 images: 120 real, 120 generated, 24 components, each 2 times"
    assert sum(line.startswith(("nothing", "detector ", "view ", "member ")) for line in lines) == 1 + 3 + 2 + 4
    assert any(line.startswith("detector guard") and line.endswith("adds") for line in lines)
    page = ablation_markdown(found)
    assert page.count("| detector guard |") == 1
    assert all(len(line) < 400 for line in page.splitlines())
    data = json.loads(json.dumps(ablation_result(found)))
    assert [one["name"] for one in data["without"]][:3] == ["informed", "guessing", "guard"]
    told = data["without"][2]
    assert told["shown"] == "adds"
    assert told["figures"]["worst"]["auc"] == pytest.approx(found.without[2].figures[WORST, "auc"], abs=1e-6)
    gain = list(found.without[2].gains[WORST, "auc"])
    assert told["whole_minus_this"]["worst"]["auc"]["difference"] == pytest.approx(gain, abs=1e-6)


def test_without_attacks_there_is_no_worst(chain):
    scored = table()
    scored = replace(scored, copies=("none",), scores=scored.scores[:, :1])
    found = ablate_table(chain, scored, replace(REQUEST, attacks=()), DRAWS)
    assert found.whole.worst == ""
    assert "worst" not in "\n".join(list(ablation_lines(found))[:12])
    assert {one.shown for one in found.without} == {"adds", "no difference shown"}


def test_a_set_is_scored_and_every_part_measured(tmp_path):
    write_set(tmp_path / "set", 15, collections=5)
    found = ablate_chain(toy_chain(tmp_path, CHAIN), load_dataset(tmp_path / "set"), REQUEST, 20)
    assert found.whole.members == MEMBERS
    assert [one.name for one in found.without] == ["informed", "guessing", "guard", "plain", "again", *MEMBERS]
