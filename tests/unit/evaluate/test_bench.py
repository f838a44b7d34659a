import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from d2f import D2FError, NoOptions
from d2f.data.dataset import limited, load_dataset
from d2f.data.groups import digest
from d2f.engine.plan import FileCheck
from d2f.evaluate.bench_report import markdown, terminal_lines
from d2f.evaluate.systems import chain_systems
from d2f.files import file_sha256
from tests.unit.evaluate.bench_toys import CHAIN, FORMAT_CHAIN, FileFormat, bench, chain
from tests.unit.evaluate.toys import Bright, NoiseLevel, write_set


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    write_set(folder, 40, collections=5)
    return load_dataset(folder)


@pytest.fixture(scope="module")
def benched(images, tmp_path_factory):
    return bench([chain(tmp_path_factory.mktemp("chain"))], images, ("jpeg:30", "noise:8"))


def test_figures_are_those_of_the_scores(benched, images):
    run, found = benched
    figures = found["systems"][0]["figures"]["none"]
    scores = run.joint.scores[:, 0, 0]
    probability = 1 / (1 + np.exp(0.7 * scores - 5))
    assert figures["auc"][0] == pytest.approx(roc_auc_score(images.labels, -scores), abs=1e-6)
    assert figures["false_positive"][0] == pytest.approx((probability[images.labels == 0] > 0.7).mean(), abs=1e-6)
    assert figures["miss"][0] == pytest.approx((probability[images.labels == 1] < 0.3).mean(), abs=1e-6)
    assert all(low <= value <= high for value, low, high in figures.values() if value is not None)
    assert figures["evasion"][0] is None


def test_evasion_is_counted_from_the_clean_verdict(benched, images):
    run, found = benched
    probability = 1 / (1 + np.exp(0.7 * run.joint.scores[:, :, 0] - 5))
    clean, attacked = probability[:, 0] > 0.7, probability[:, 2] > 0.7
    figures = found["systems"][0]["figures"]["noise:sigma=8"]
    generated = images.labels == 1
    assert figures["evasion"][0] == pytest.approx((clean & ~attacked)[generated].mean(), abs=1e-6)
    assert figures["evasion"][0] > 0.2
    assert figures["new_false_alarms"][0] == pytest.approx((~clean & attacked)[~generated].mean(), abs=1e-6)
    assert found["systems"][0]["worst"]["evasion"] == "noise:sigma=8"


def test_an_attack_on_one_class_leaves_the_other_clean(benched, images):
    run, found = benched
    scores = -run.joint.scores[:, :, 0]
    mixed = np.where(images.labels == 1, scores[:, 2], scores[:, 0])
    told = found["systems"][0]["auc_attacked"]
    assert told["generated"]["noise:sigma=8"][0] == pytest.approx(roc_auc_score(images.labels, mixed), abs=1e-6)
    mixed = np.where(images.labels == 0, scores[:, 2], scores[:, 0])
    assert told["real"]["noise:sigma=8"][0] == pytest.approx(roc_auc_score(images.labels, mixed), abs=1e-6)
    assert told["both"]["noise:sigma=8"] == found["systems"][0]["figures"]["noise:sigma=8"]["auc"]


def test_only_one_class_attacked_in_every_figure(benched, images, tmp_path):
    _, found = bench([chain(tmp_path)], images, ("noise:8",), attacked="generated")
    whole = benched[1]["systems"][0]
    figures = found["systems"][0]["figures"]["noise:sigma=8"]
    assert figures["auc"][0] == whole["auc_attacked"]["generated"]["noise:sigma=8"][0]
    assert figures["new_false_alarms"][0] == 0
    assert figures["evasion"][0] == whole["figures"]["noise:sigma=8"]["evasion"][0]


def test_a_detector_of_the_format_is_perfect_as_is_and_blind_under_matched(tmp_path):
    random = np.random.default_rng(0)
    for number in range(40):
        pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        where = tmp_path / "set" / ("generated/x" if number % 2 else "real")
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(where / f"{number}.{'png' if number % 2 else 'jpg'}")
    judged = chain(tmp_path / "chain", FORMAT_CHAIN, FileFormat)
    dataset = load_dataset(tmp_path / "set")
    for protocol, expected in (("as-found", 1.0), ("crop", 0.5)):
        _, found = bench([judged], dataset, protocol=protocol)
        assert found["systems"][0]["figures"]["none"]["auc"][0] == expected


def groups(found, kind):
    return {one["name"]: one for one in found["systems"][0]["groups"] if one["kind"] == kind}


def test_two_class_collections_are_reported_on_their_own_and_generators_meet_all_photographs(benched, images):
    run, found = benched
    listed = groups(found, "collection")
    assert sorted(listed) == [f"hands{i}" for i in range(5)]
    assert groups(found, "source") == {}
    table = run.joint
    members = [i for i, one in enumerate(table.images) if one.collection == "hands2"]
    expected = roc_auc_score(table.labels[members], -table.scores[members, 0, 0])
    value, low, high = listed["hands2"]["figures"]["none"]["auc"]
    assert value == pytest.approx(expected, abs=1e-6)
    assert low < value <= high
    (stage,) = found["systems"][0]["stages"]
    alone = {one["name"]: one["auc"] for one in stage["groups"]}
    assert alone["hands2"]["none"] == listed["hands2"]["figures"]["none"]["auc"][0]
    toy = groups(found, "generator")["toy"]
    assert (toy["real"], toy["generated"]) == (0, 40)
    assert toy["figures"]["none"]["auc"][0] == found["systems"][0]["figures"]["none"]["auc"][0]


def test_a_source_of_one_class_meets_the_whole_other_class(tmp_path):
    write_set(tmp_path / "set", 24, collections=2)
    for path in (tmp_path / "set/generated/toy/hands1").iterdir():
        path.unlink()
    run, found = bench([chain(tmp_path / "chain")], load_dataset(tmp_path / "set"))
    one = groups(found, "source")["hands1"]
    assert (one["real"], one["generated"]) == (12, 0)
    figures = one["figures"]["none"]
    assert figures["true_positive"] is None
    labels, scores = run.joint.labels, run.joint.scores[:, 0, 0]
    mine = np.array([image.collection == "hands1" for image in run.joint.images])
    held = mine | (labels == 1)
    assert figures["auc"][0] == pytest.approx(roc_auc_score(labels[held], -scores[held]), abs=1e-6)
    assert figures["false_positive"] == pytest.approx((1 / (1 + np.exp(0.7 * scores[mine] - 5)) > 0.7).mean(), abs=1e-6)


def test_the_reports_name_every_figure_and_attack(benched):
    found = json.loads(json.dumps(benched[1], allow_nan=False))
    for text in ("\n".join(terminal_lines(found)), markdown(found)):
        assert "80 images of " in text
        assert "40 real, 40 generated, 5 components" in text
        for words in ("log-likelihood-ratio cost, bits", "jpeg:quality=30", "noise:sigma=8", "hands3", "images/s"):
            assert words in text
    assert "\n### Under attack\n" in markdown(found)


def test_chains_share_what_they_have_in_common(images, tmp_path):
    seen = []
    one = chain(tmp_path / "one")
    score = type(one.plan.detectors[0].stage).score
    other = chain(tmp_path / "two", CHAIN.replace("name: toy", "name: other").replace("-0.7", "-0.5"))
    one.plan.detectors[0].stage.score = lambda batch: [seen.append(1), *score(one.plan.detectors[0].stage, batch)][1:]
    run, found = bench([one, other], images)
    assert run.joint.members == ("noise/plain",)
    assert len(seen) > 0
    assert [system["name"] for system in found["systems"]] == ["toy", "other"]
    (pair,) = [pair for pair in found["comparisons"] if pair["figure"] == "auc"]
    assert pair["attacks"]["none"]["difference"] == [0, 0, 0]
    assert pair["attacks"]["none"]["p"] == 1
    assert pair["images"]["none"] == 80


def test_two_versions_of_a_chain_are_distinguished(images, tmp_path):
    one, other = chain(tmp_path / "one"), chain(tmp_path / "two", CHAIN.replace("bias: 5.0", "bias: 4.0"))
    _, found = bench([one, other, one], images)
    names = [system["name"] for system in found["systems"]]
    assert names == [f"toy@{each.digest[:8]}" for each in (one, other, one)]
    assert len(found["comparisons"]) == 9
    _, found = bench([one, other, one, other], images)
    assert {pair["first"] for pair in found["comparisons"]} == {names[0]}


def test_an_unfitted_chain_is_refused(images, tmp_path):
    with pytest.raises(D2FError, match="is not fitted"):
        bench([chain(tmp_path, CHAIN[: CHAIN.index("calibrate")])], images)


def cautions(chains, images, **more):
    return bench(chains, images, **more)[1]["cautions"]


def test_images_that_trained_the_weights_or_fitted_the_chain_are_named(images, tmp_path):
    """Figures on images that were seen are optimistic: a bench says so, with a limit too."""
    fitted = "fitted: {data: '%s', images: 80, date: 2026-11-21, d2f: 0.1.0}\n"
    own = chain(tmp_path / "a", CHAIN + fitted % digest(images))
    assert "chain 'toy' was fitted to these images: its figures are optimistic" in cautions([own], images)
    part = limited(images, 30)
    words = "chain 'toy' was fitted to the set that these images were taken from: its figures are optimistic"
    assert words in cautions([own], part, whole=images, limit=30)
    other = chain(tmp_path / "b", CHAIN + fitted % f"sha256:{'0' * 64}")
    assert not any("fitted" in line for line in cautions([other], images))
    again = CHAIN + (fitted % f"sha256:{'0' * 64}").replace(
        "0.1.0}", f"0.1.0, thresholds: {{data: '{digest(images)}', images: 80, date: 2026-11-21}}}}"
    )
    words = "the thresholds of chain 'toy' were fitted to these images: its rates are optimistic"
    assert words in cautions([chain(tmp_path / "c", again)], images)

    class Trained(NoiseLevel):
        name = "trained"
        trained_on = np.array([int(file_sha256(images[i].path)[:16], 16) for i in (3, 5)], dtype=np.uint64)

    seen = chain(tmp_path / "d", CHAIN.replace("use: noise-level", "use: trained"), Trained)
    (line,) = (line for line in cautions([seen], images) if "trained" in line)
    assert line.startswith(f"2 of 80 images trained the weights of 'noise' of chain 'toy', such as {images[3].path}")


def test_a_bench_of_next_to_nothing_says_that_its_figures_are(images, tmp_path):
    half = CHAIN.replace("generated_above: 0.7", "generated_above: 1.0")
    found = bench([chain(tmp_path, half)], images.select([0, 40]))[1]
    assert not any("can give no verdict" in line for line in found["cautions"])
    text = "\n".join(terminal_lines(found))
    assert "warning: 1 photographs are too few for " in text
    assert "TPR@1% (at least 200)" in text
    assert found["systems"][0]["figures"]["none"]["tpr_at_1"] == [None, None, None]
    assert "generated found at 1 % false alarms" not in text
    single = images.select([i for i, image in enumerate(images) if image.collection == "hands1"])
    assert "no intervals: each label comes from one collection only" in cautions([chain(tmp_path)], single)


def test_files_of_both_labels_silent_members_and_thresholds_at_the_ends_are_named(images, tmp_path):
    write_set(tmp_path / "set", 12, collections=3)
    real, made = (sorted((tmp_path / "set" / kind).rglob("*.png"))[0] for kind in ("real", "generated"))
    shutil.copy(real, made)
    found = cautions([chain(tmp_path / "a")], load_dataset(tmp_path / "set"))
    assert any(line.startswith("1 pairs of files of the same bytes have both labels") for line in found)
    text = CHAIN.replace("use: noise-level", "use: noise-level, with: {silent_above: 0.0}")
    text = text.replace("real_below: 0.3, generated_above: 0.7", "real_below: 0.0, generated_above: 1.0")
    found = cautions([chain(tmp_path / "b", text)], images)
    assert "noise/plain of chain 'toy' scored no image: every figure is of the others alone" in found
    assert "chain 'toy' can give no verdict: its thresholds are 0 and 1" in found


def test_where_the_format_is_the_label_the_source_audit_says_so_with_one_collection_a_label(tmp_path):
    random = np.random.default_rng(0)
    for number in range(40):
        where = tmp_path / "set" / ("generated/x/one" if number % 2 else "real/one")
        where.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(where / f"{number}.{'png' if number % 2 else 'jpg'}")
    (tmp_path / "set/generated/x/one").rename(tmp_path / "set/generated/x/two")
    found = bench([chain(tmp_path / "chain")], load_dataset(tmp_path / "set"))[1]["source_audit"]
    assert "alone tells the label" in found[0]
    assert "all photographs come from one collection" in found[1]
    assert "format alone: AUC 1.000 [1.000, 1.000]: this set measures file formats" in found


def test_preconditions_of_each_chain_refuse_for_that_chain_alone(images, tmp_path):
    plain, guarded = chain(tmp_path / "a"), chain(tmp_path / "b", CHAIN.replace("name: toy", "name: guarded"))
    check = FileCheck("precondition", "bright", Bright(NoOptions()), "bright")
    guarded = replace(guarded, plan=replace(guarded.plan, require=(check,)))
    run, found = bench([plain, guarded], images, ("noise:8",))
    assert run.joint.members == ("noise/plain", "require-0/plain")
    refused = run.tables[1].refused
    assert 0.05 < refused[:, 0].mean() < 0.95
    assert not run.tables[0].refused.any()
    one, other = (system["figures"]["none"] for system in found["systems"])
    verdicts = np.where(refused[:, 0], 0, chain_systems(plain, run.tables[0])[0].verdicts[:, 0])
    assert other["inconclusive"][0] == pytest.approx((verdicts == 0).mean(), abs=1e-6)
    llr = np.where(refused[:, 0], 0.0, chain_systems(plain, run.tables[0])[0].values[:, 0])
    assert other["auc"][0] == pytest.approx(roc_auc_score(images.labels, llr), abs=1e-6)
    assert one["inconclusive"][0] != other["inconclusive"][0]
    share = found["systems"][1]["refused"]["none"]
    assert share["real"] == pytest.approx(refused[images.labels == 0, 0].mean(), abs=1e-6)
    assert "refused, real" in markdown(found)
