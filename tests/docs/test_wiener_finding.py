"""The page of the Wiener finding: its making, its figures those of the bench, its sentences for every outcome."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import make_wiener_finding
import numpy as np
import pytest
from d2f_combiners.logits import logits
from PIL import Image
from pydantic import BaseModel, ConfigDict
from wiener_finding import benched, directions, finding, left_out, numbers, shares
from wiener_finding.left_out import Added, Part
from wiener_finding.pushes import Push, pushes
from wiener_finding.shares import Shares

from d2f import Abstention, D2FError, Weights, WholeImage
from d2f.chain.chain import load_chain
from d2f.data.dataset import load_dataset
from d2f.evaluate.attacks import CORE, AttackSet, read_attack
from d2f.evaluate.bench import JSON, ROWS, BenchSettings, result, run_chains, write_result, write_rows
from d2f.metrics import Draws, Interval
from d2f.metrics.figures import FIGURES
from d2f.plugins.catalog import Catalog
from d2f.plugins.entries import allowed
from d2f.plugins.registry import load_plugins
from tests.unit.evaluate.bench_toys import CHAIN, bench, chain
from tests.unit.evaluate.toys import write_set

# One command makes the page: of one scoring, naming no machine, of the chains that ship.

SMALL = """\
d2f: 1
name: small
detectors:
  - {id: noise, use: noise-statistics}
calibrate:
  noise/plain: {use: platt, with: {slope: 0.5, bias: 0.3}}
verdict: {real_below: 0.4, generated_above: 0.6}
"""
HALVED = """\
d2f: 1
name: halved
views: {half: [{use: resize, with: {factor: 0.5}}]}
detectors:
  - {id: noise, use: noise-statistics, views: [plain, half]}
calibrate:
  noise/plain: {use: platt, with: {slope: 0.5, bias: 0.3}}
  noise/half: {use: platt, with: {slope: 0.4, bias: 0.1}}
verdict: {real_below: 0.4, generated_above: 0.6}
"""
TOWERED = SMALL.replace("name: small", "name: towered").replace("use: noise-statistics", "use: tower")


class NoOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tower:
    """Looks through weights that nobody fetched."""

    name = "tower"
    summary = "A toy."
    Options = NoOptions
    wants = WholeImage()
    weights = (Weights("tall", "ab" * 32, "MIT", ("pypi:nothing==1.0/tall.safetensors",)),)

    def __init__(self, options):
        pass

    def score(self, batch):
        return [Abstention("no weights")] * len(batch)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A few pictures and three chains in the working folder, one of which needs a tower that nobody fetched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("D2F_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for number in range(12):
        folder = Path("set", "generated/toy" if number % 2 else "real", f"hands{number // 2 % 3}")
        folder.mkdir(parents=True, exist_ok=True)
        ramp = np.linspace(60, 190, 136)[None, :, None] + random.uniform(-20, 20, 3)
        pixels = ramp + random.normal(0, 2 if number % 2 else 6, (136, 136, 1))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    Path("small.yaml").write_text(SMALL, "utf-8")
    Path("halved.yaml").write_text(HALVED, "utf-8")
    Path("towered.yaml").write_text(TOWERED, "utf-8")
    return tmp_path


def make(*more):
    # What is installed, as the bench's own process finds it: the digest of a chain names its plugins' versions.
    registry = load_plugins(allowed(None))
    registry.add_stage("detector", Tower, None)
    catalog = Catalog(registry)
    return make_wiener_finding.main(["set", "kept", "--draws", "20", "-o", "page.md", *more], catalog)


def test_one_command_scores_once_and_writes_the_page_and_its_chart(place, capsys):
    assert make("--chains", "small.yaml", "halved.yaml", "towered.yaml") == 0
    page = Path("page.md").read_text("utf-8")
    assert re.match(r"# The Wiener finding\n\n\*\*(The|Half of the) finding [^*]*`small` is [^*]*\.\*\* Right on", page)
    assert str(place) not in page
    assert "python docs/make_wiener_finding.py $D2F_DATA/val wiener --chains small halved towered" in page
    told = " ".join(page.split())
    assert "The chain `towered` is left out: the weights 'tall' were not on the machine" in told
    assert "(to fetch them: `d2f weights pull tall`)." in told
    assert page.count("\n| small | ") == page.count("\n| halved | ") == 3 + 2 + 2
    assert page.count("\n| noise/plain | wiener 7x7 | ") == 4
    assert "`small` has one member only" in page
    assert "\n| view half | " in page
    assert "![Histograms of the log-odds of small and halved, clean and filtered](page.svg)" in page
    drawn = "".join(ElementTree.parse("page.svg").getroot().itertext())
    assert all(word in drawn for word in ("small", "halved", "wiener 7x7 + noise", "photographs"))

    scored, picture = Path("kept", JSON).stat().st_mtime_ns, Path("page.svg").read_bytes()
    assert make("--chains", "small.yaml", "halved.yaml", "towered.yaml") == 0
    assert Path("kept", JSON).stat().st_mtime_ns == scored
    assert (Path("page.md").read_text("utf-8"), Path("page.svg").read_bytes()) == (page, picture)

    Path("small.yaml").write_text(SMALL.replace("bias: 0.3", "bias: 0.2"), "utf-8")
    capsys.readouterr()
    assert make("--chains", "small.yaml") == 2
    assert "D2F004" in (said := capsys.readouterr().err)
    assert "'kept' holds another bench: it holds no scores of the chain 'small' as it is now" in said
    assert Path("kept", JSON).stat().st_mtime_ns == scored


def test_without_any_chain_nothing_is_written(place, capsys):
    assert make("--chains", "towered.yaml") == 2
    assert "no chain is left to measure" in capsys.readouterr().err
    assert not Path("page.md").exists()


@pytest.mark.parametrize("name", make_wiener_finding.CHAINS)
def test_the_page_is_of_the_chains_that_ship(name):
    """As far as they are those that the page records; of another one its figures say nothing."""
    if not make_wiener_finding.PAGE.exists():
        pytest.skip("the page was not made yet: python docs/make_wiener_finding.py $D2F_DATA/val wiener")
    page = make_wiener_finding.PAGE.read_text("utf-8")
    if f"The chain `{name}` is left out:" in page:
        pytest.skip(f"the page leaves '{name}' out")
    said = re.search(rf"^- `{name}` \(digest (\w{{12}}); real below ([\d.]+), generated above ([\d.]+)\)", page, re.M)
    assert said, "run: python docs/make_wiener_finding.py $D2F_DATA/val wiener"
    assert f"`{name}` {said[1]}" in " ".join(page.partition("\nWhat is told:")[0].split())
    shipped = load_chain(name)
    if said[1] != shipped.digest[:12]:
        pytest.skip(f"the page is of another chain '{name}' than the one that ships: make_wiener_finding.py")
    rule = shipped.file.verdict
    assert said.groups()[1:] == (f"{rule.real_below:g}", f"{rule.generated_above:g}")


# The figures are those of the bench, and of counts and combiners by hand.

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


# The sentences, on made-up results of every outcome.

DRAWS = Draws(np.arange(40), np.arange(40) % 2, draws=101)
NAN = float("nan")


def drawn(value, spread=0.0):
    """A figure on the sample and on draws evenly about it; differences of two of one spread have no width."""
    return np.concatenate([[value], np.linspace(value - spread, value + spread, 101)])


def made_shares(copies=((0.6, 0.6), (0.6, 0.6), (0.6, 0.6)), **more):
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
    said = finding.first_paragraph("single", made_shares(copies))
    assert said.startswith(f"**{headline}")
    for generated, real in copies:
        assert f"{100 * generated:.1f} % [{100 * generated:.1f}, {100 * generated:.1f}] and {100 * real:.1f} %" in said
    assert "at least 90 % of either kind. All: at least 95 %." in said
    assert finding.never_right(made_shares(copies)) == (min(copies[0]) < 0.9)


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
    said = finding.shift(made_shares(((0.6, 0.6), (0.6 + generated, 0.6 + real), (0.6, 0.6))))
    assert expected in said
    assert f"{100 * generated:+.1f} points" in said
    assert f"photographs {100 * real:+.1f} points" in said


def test_a_change_whose_interval_holds_zero_does_not_show():
    clean, filtered = drawn(0.6, 0.1), drawn(0.55, -0.1)
    said = finding.shift(made_shares(((clean, 0.6), (filtered, 0.6), (0.6, 0.6))))
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
    said = finding.ranking(made_shares(auc={("both", 0): drawn(clean), ("both", 1): drawn(filtered)}))
    assert said.startswith(begins)
    assert said.endswith(ends)


@pytest.mark.parametrize(
    ("filtered", "auc", "threshold"),
    [((0.7, 0.5), 0.7, True), ((0.5, 0.7), 0.7, True), ((0.5, 0.5), 0.7, False), ((0.7, 0.5), 0.6, False)],
)
def test_a_threshold_is_lost_where_both_kinds_go_one_way_and_the_order_holds(filtered, auc, threshold):
    found = made_shares(((0.6, 0.6), filtered, (0.6, 0.6)), auc={("both", 1): drawn(auc)})
    assert ("takes its threshold from it" in finding.ranking(found)) is threshold


@pytest.mark.parametrize(
    ("noisy", "expected"),
    [(0.8, "brings generated images back"), (0.4, "takes more generated images"), (0.6, "makes no difference")],
)
def test_noise_on_top_is_compared_with_the_filter_alone(noisy, expected):
    said = finding.noise(made_shares(((0.9, 0.9), (0.6, 0.6), (noisy, 0.6))))
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
    said = finding.laying(made_shares(auc={("generated", 1): drawn(generated), ("real", 1): drawn(real)}))
    assert rank in said
    assert said.endswith(ends)


def test_escapes_are_of_all_images_of_their_kind():
    of = {("both", 0): drawn(0.5)}, {("both", 1): drawn(0.125, 0.1)}, {("both", 1): drawn(0.0625)}
    said = finding.escapes(made_shares(true_positive=of[0], evasion=of[1], new_false_alarms=of[2]))
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
    found = made_shares(auc={("both", 1): drawn(auc)}, evasion={("both", 1): drawn(lost)})
    said = finding.against(found, "single", made_shares())
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
