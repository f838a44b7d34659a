"""The figures of the Wiener finding are those of the bench, and of counts and combiners by hand."""

from __future__ import annotations

import numpy as np
import pytest
from d2f_combiners.logits import logits
from wiener_finding import benched, left_out, shares
from wiener_finding.pushes import pushes

from d2f import D2FError
from d2f.data.dataset import load_dataset
from d2f.evaluate.attacks import CORE, AttackSet, read_attack
from d2f.evaluate.bench import JSON, ROWS, BenchSettings, result, run_chains, write_result, write_rows
from d2f.metrics.figures import FIGURES
from tests.unit.evaluate.bench_toys import CHAIN, bench, chain
from tests.unit.evaluate.toys import write_set

ATTACKS = tuple(benched.ATTACKS.values())
OF_FILES = {"auc_like_aspect"}
"""Figures of the files' own shapes, which no row of a bench holds: the finding gives none of them."""
WIDE = """\
d2f: 1
name: wide
views:
  soft: [{use: gaussian-blur, with: {sigma: 0.6}}]
detectors:
  - {id: noise, use: noise-level, views: [plain, soft]}
  - {id: shy, use: noise-level, with: {silent_above: 6.0}}
calibrate:
  noise/plain: {use: platt, with: {slope: -0.7, bias: 5.0}}
  noise/soft: {use: platt, with: {slope: -1.1, bias: 3.0}}
  shy/plain: {use: platt, with: {slope: -0.5, bias: 3.0}}
combine: {use: logistic, with: {weights: {noise/plain: 0.6, noise/soft: -0.2, shy/plain: 0.4}, bias: 0.1}, need: 2}
verdict: {real_below: 0.4, generated_above: 0.6}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished bench of two toy chains in a folder, and what it was made of."""
    folder = tmp_path_factory.mktemp("made")
    write_set(folder / "set", 24, collections=6)
    images = load_dataset(folder / "set")
    chains = [chain(folder / "toy", CHAIN), chain(folder / "wide", WIDE)]
    run, found = bench(chains, images, ATTACKS, "crop")
    write_rows(folder / ROWS, run, chains)
    write_result(folder / JSON, found)
    return folder, images, chains, run, found


@pytest.mark.parametrize("over", ["both", "generated", "real"])
def test_whichever_class_is_attacked_the_figures_are_those_of_a_bench(made, over):
    folder, images, chains, _, _ = made
    _, expected = bench(chains, images, ATTACKS, "crop", attacked=over)
    held = benched.read(folder, chains)
    for one, told in zip(held.judged, expected["systems"], strict=True):
        found = shares.measured(one.whole, held.labels, held.draws)
        for copy, attack in enumerate(("none", *ATTACKS)):
            for figure in FIGURES.keys() - OF_FILES:
                interval = [None if value != value else value for value in found.of(figure, copy, over)]
                assert interval == pytest.approx(told["figures"][attack][figure], abs=2e-6), (attack, figure)


def test_shares_of_verdicts_and_sides_are_counts(made):
    folder, images, chains, run, _ = made
    held = benched.read(folder, chains)
    found = shares.measured(held.judged[0].whole, held.labels, held.draws)
    probability = 1 / (1 + np.exp(0.7 * run.tables[0].scores[:, :, 0] - 5))
    generated = images.labels == 1
    clean, noisy = (probability[:, copy] for copy in (0, 2))
    assert found.of("right_generated", 2).value == pytest.approx((noisy > 0.5)[generated].mean())
    assert found.of("right_real", 2).value == pytest.approx((noisy < 0.5)[~generated].mean())
    assert found.of("still", 2).value == pytest.approx(((clean > 0.7) & (noisy > 0.7))[generated].mean())
    assert found.of("cleared", 2).value == pytest.approx(((clean >= 0.3) & (noisy < 0.3))[generated].mean())
    assert found.of("still", 1).value + found.of("evasion", 1).value == found.of("true_positive", 0).value
    fell = found.change("right_real", 1)
    assert fell.value == pytest.approx(found.of("right_real", 1).value - found.of("right_real", 0).value)
    assert fell.low < fell.value < fell.high
    assert found.beyond(found, "auc", 1) == (0, 0, 0)


def test_pushes_are_changes_of_the_calibrated_log_odds(made):
    folder, images, chains, run, _ = made
    held = benched.read(folder, chains)
    members = held.judged[1].members
    found = {(push.member, push.copy, push.label): push for push in pushes(members, held.labels, held.draws)}
    log_odds = -1.1 * run.tables[1].scores[:, :, 1] + 3.0
    change = (log_odds[:, 1] - log_odds[:, 0])[images.labels == 0]
    push = found["noise/soft", 1, 0]
    assert push.mean.value == pytest.approx(change.mean(), rel=1e-6)
    assert push.mean.low < push.mean.value < push.mean.high
    assert push.quartiles == pytest.approx(np.quantile(change, [0.25, 0.5, 0.75]), rel=1e-6)
    assert push.deviations == pytest.approx(change.mean() / log_odds[:, 0].std(), rel=1e-6)
    silent = np.isnan(run.tables[1].scores[:, [0, 1], 2]).any(axis=1)
    assert found["shy/plain", 1, 1].images == (~silent & (images.labels == 1)).sum() < (images.labels == 1).sum()


def test_without_a_member_the_combiner_gives_what_it_gives_when_the_member_abstains(made):
    folder, _, chains, run, _ = made
    judged = benched.read(folder, chains).judged[1]
    scores = run.tables[1].scores
    noise = 0.6 * logits(1 / (1 + np.exp(0.7 * scores[:, :, 0] - 5.0)))
    shy = np.where(np.isnan(scores[:, :, 2]), 0.0, 0.4 * (-0.5 * scores[:, :, 2] + 3.0))
    assert left_out.without(judged, (1,)) == pytest.approx(noise + shy + 0.1, abs=1e-5)
    alone = left_out.without(judged, (0, 1))
    silent = np.isnan(scores[:, :, 2])
    assert silent.any()
    assert np.isnan(alone[silent]).all()
    assert alone[~silent] == pytest.approx(shy[~silent] + 0.1, abs=1e-5)


def test_parts_are_named_once_and_never_the_whole_chain(made):
    _, _, chains, _, _ = made
    assert left_out.parts(chains[0].plan) == []
    found = [(part.kind, part.name, part.columns) for part in left_out.parts(chains[1].plan)]
    assert found == [
        ("detector", "noise", (0, 1)),
        ("detector", "shy", (2,)),
        ("view", "plain", (0, 2)),
        ("view", "soft", (1,)),
        ("member", "noise/plain", (0,)),
    ]


def test_what_a_part_adds_is_the_loss_of_auc_without_it(made):
    folder, _, chains, _, found = made
    held = benched.read(folder, chains)
    for one in left_out.added(held.judged[1], held.labels, held.draws):
        for copy, attack in enumerate(("none", *ATTACKS)):
            full = found["systems"][1]["figures"][attack]["auc"][0]
            assert one.adds[copy].value == pytest.approx(full - one.without[copy].value, abs=1e-6)
            assert one.adds[copy].low <= one.adds[copy].value <= one.adds[copy].high


def test_a_bench_that_does_not_serve_is_refused_by_what_it_lacks(made, tmp_path):
    folder, images, chains, _, found = made
    assert benched.refusal(found, chains, images) == ""
    other = chain(tmp_path, CHAIN.replace("bias: 5.0", "bias: 4.0"))
    assert benched.refusal(found, [other]) == "it holds no scores of the chain 'toy' as it is now"
    assert benched.refusal({**found, "protocol": "as-found"}, chains) == "it was not made under the protocol crop"
    lacking = {**found, "attacks": found["attacks"][:2]}
    assert benched.refusal(lacking, chains) == "it was made without the attack wiener:window=7+noise:sigma=2"
    assert benched.refusal(found, chains, images.select(range(10))) == "it was made of other images"
    with pytest.raises(D2FError, match="does not serve: it holds no scores"):
        benched.read(folder, [other])


def test_a_bench_of_a_grid_serves_whatever_it_calls_its_attacks(made, tmp_path):
    _, images, chains, _, found = made
    named = {name: spec for name, spec in CORE.items() if name in ("noise-5", "wiener-7", "wiener-7+noise-2")}
    chosen = AttackSet(tuple(read_attack(spec, chains[0].catalog, name) for name, spec in named.items()))
    run = run_chains(chains[1:], images, chosen.attacks, "crop", workers=1)
    write_rows(tmp_path / ROWS, run, chains[1:])
    write_result(tmp_path / JSON, result(run, chains[1:], BenchSettings("crop", chosen, draws=20)))
    held = benched.read(tmp_path, chains[1:])
    assert held.judged[0].name == "wide"
    figures = shares.measured(held.judged[0].whole, held.labels, held.draws)
    for copy, attack in enumerate(("none", *ATTACKS)):
        expected = found["systems"][1]["figures"][attack]["auc"][0]
        assert figures.of("auc", copy).value == pytest.approx(expected, abs=1e-6)
