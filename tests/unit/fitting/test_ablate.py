"""What parts add, on tables of scores whose truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from d2f.chain.chain import load_chain
from d2f.data.dataset import Dataset, Labelled, load_dataset
from d2f.evaluate.ablate import ablate, ablate_table, eliminate, fit_picked, picked
from d2f.evaluate.ablation import ablation_lines, ablation_markdown, ablation_result
from d2f.evaluate.comparing import MEAN, WORST, said
from d2f.evaluate.fit import fit_chain
from d2f.evaluate.fit_rows import Request, as_rows, read_recipe
from d2f.evaluate.out_of_fold import out_of_fold
from d2f.evaluate.score import ScoreTable
from d2f.evaluate.subsets import Subsets
from d2f.metrics import Interval, cluster_bootstraps, log_likelihood_ratio_cost, roc_auc, true_positive_rate_at
from tests.unit.fitting.toys import catalog, toy_chain, write_set

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
REQUEST = Request(attacks=("jpeg:quality=60",), folds=3, today=date(2026, 11, 21), workers=1)
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
    recipe = read_recipe(chain)
    recipe = replace(recipe, members=members, calibrators={member: recipe.calibrators[member] for member in members})
    rows = as_rows(replace(scored, members=members, scores=scored.scores[:, :, list(columns)]))
    return out_of_fold(chain.plan.part(columns), recipe, rows, 0.5, 3, 0).llr.reshape(-1, 2)


def test_the_table_says_who_knows_who_guesses_and_who_repeats(without):
    assert without["detector", "informed"].says == "adds"
    assert without["detector", "guessing"].says == "no difference shown"
    assert without["detector", "guard"].says == "adds"
    assert without["view", "plain"].says == "adds"
    # Each of two that say the same can go; both cannot.
    for part in (("view", "again"), ("member", "informed/plain"), ("member", "informed/again")):
        assert without[part].says != "adds"
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
    np.testing.assert_array_equal(found.subsets.llr(columns), left)
    guard = without["detector", "guard"]
    for copy, name in enumerate(scored.copies):
        assert guard.figures[name, "auc"] == pytest.approx(roc_auc(scored.labels, left[:, copy], weights), abs=1e-12)
        rate = true_positive_rate_at(scored.labels, left[:, copy], 0.05, weights)
        assert guard.figures[name, "tpr_at_5"] == pytest.approx(rate, abs=1e-12)
        cost = log_likelihood_ratio_cost(scored.labels, left[:, copy], weights)
        assert guard.figures[name, "cost"] == pytest.approx(cost, abs=1e-12)
    everywhere = np.mean([guard.figures[name, "cost"] for name in scored.copies])
    assert guard.figures[MEAN, "cost"] == pytest.approx(everywhere, abs=1e-12)
    assert found.subsets.cost(columns) == pytest.approx(everywhere, abs=1e-9)

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
    assert left.says == "adds"
    assert picked(list(eliminate(found.subsets, 10.0))) == (0,)


def test_members_that_never_speak_are_no_error_once_they_are_alone(chain):
    scored = table()
    scored.scores[:, :, 3] = np.nan
    subsets = Subsets(chain, scored, REQUEST)
    assert subsets.cost((3,)) == pytest.approx(1.0)
    assert (subsets.llr((3,)) == 0).all()


def test_fewer_members_than_are_needed_are_all_needed(tmp_path):
    text = CHAIN.replace("combine: {use: logistic}", "combine: {use: logistic, need: 4}")
    found = ablate_table(toy_chain(tmp_path, text), table(), REQUEST, DRAWS)
    assert found.without[0].figures["none", "auc"] > 0.5
    assert any("than the 4 that the chain needs" in line for line in ablation_lines(found))
    assert picked(list(eliminate(found.subsets, 10.0))) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [((0.01, 0.2), "adds"), ((-0.1, 0.1), "no difference shown"), ((-0.2, -0.01), "harms")],
)
def test_words_follow_the_interval(bounds, words):
    assert said(Interval(0.0, *bounds)) == words
    assert said(Interval(0.0, float("nan"), float("nan"))) == "no difference shown"


def test_what_adds_here_and_harms_there_is_said_so(without):
    left = without["detector", "guard"]
    up, down = Interval(0.1, 0.05, 0.2), Interval(-0.1, -0.2, -0.05)
    there = replace(left, gains={**left.gains, ("none", "auc"): down, (WORST, "auc"): up})
    assert there.says == "harms clean, adds at the worst attack"
    assert replace(left, gains={**left.gains, ("none", "auc"): down, (WORST, "auc"): down}).says == "harms"


def test_a_selection_drops_the_guess_and_one_of_the_two_that_agree(found):
    steps = list(eliminate(found.subsets, 0.01))
    assert steps[0].member == ""
    assert {step.member for step in steps if step.taken} - {""} in (
        {"guessing/plain", "informed/plain"},
        {"guessing/plain", "informed/again"},
    )
    assert not steps[-1].taken
    assert steps[-1].cost > min(step.cost for step in steps) + 0.01
    for step in steps[:-1]:
        assert step.cost == found.subsets.cost(step.left) <= steps[0].cost + 0.01
    assert len(picked(steps)) == 2
    assert len(picked(list(eliminate(found.subsets, 100.0)))) == 1


def test_each_step_drops_the_member_whose_loss_is_least(found):
    steps = list(eliminate(found.subsets, 100.0))
    for before, step in pairwise(steps):
        costs = [found.subsets.cost(tuple(at for at in before.left if at != out)) for out in before.left]
        assert step.cost == min(costs)


def test_the_report_the_page_and_the_data_hold_every_part(found):
    lines = list(ablation_lines(found))
    assert lines[0] == "240 images: 120 real, 120 generated, 24 components, each 2 times"
    assert sum(line.startswith(("nothing", "detector ", "view ", "member ")) for line in lines) == 1 + 3 + 2 + 4
    assert any(line.startswith("detector guard") and line.endswith("adds") for line in lines)
    page = ablation_markdown(found)
    assert page.count("| detector guard |") == 3
    assert all(len(line) < 400 for line in page.splitlines())
    data = json.loads(json.dumps(ablation_result(found)))
    assert [one["name"] for one in data["without"]][:3] == ["informed", "guessing", "guard"]
    told = data["without"][2]
    assert told["says"] == "adds"
    assert told["figures"]["worst"]["auc"] == found.without[2].figures[WORST, "auc"]
    assert told["whole_minus_this"]["worst"]["auc"]["difference"] == list(found.without[2].gains[WORST, "auc"])


def test_without_attacks_there_is_no_worst(chain):
    scored = table()
    scored = replace(scored, copies=("none",), scores=scored.scores[:, :1])
    found = ablate_table(chain, scored, replace(REQUEST, attacks=()), DRAWS)
    assert found.whole.worst == ""
    assert "worst" not in "\n".join(list(ablation_lines(found))[:12])
    assert {one.says for one in found.without} == {"adds", "no difference shown"}
    assert "by attack" not in ablation_markdown(found)


def test_the_fitted_rest_is_what_a_fit_of_its_own_file_gives(tmp_path):
    write_set(tmp_path / "set", 15, collections=5)
    images = load_dataset(tmp_path / "set")
    chain = toy_chain(tmp_path, CHAIN)
    found = ablate(chain, images, REQUEST, 20)
    assert found.whole.members == MEMBERS
    fit = fit_picked(found.subsets, (1, 3))
    assert "guessing" not in fit.text
    assert "  # it knows\n  - {id: informed, use: noise-level, views: [again]}\n  # it holds\n" in fit.text
    (tmp_path / "picked.yaml").write_text(fit.text, "utf-8")
    loaded = load_chain(tmp_path / "picked.yaml", catalog=catalog())
    assert loaded.warnings == ()
    assert loaded.plan.member_names == ("informed/again", "guard/plain")
    again = load_chain(tmp_path / "picked.yaml", catalog=catalog(), refit=True)
    assert fit_chain(again, images, REQUEST).text == fit.text
