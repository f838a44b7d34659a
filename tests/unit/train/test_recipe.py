"""Recipes, read strictly; and studies of them: which trials there are, that they resume, what the table says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from d2f_resnet.trainable import NetworkOptions, ResNetTrainable

from d2f import D2FError
from d2f.train.read import read_recipe
from d2f.train.recipe import NetworkRecipe, recipe_digest
from d2f.train.run import SilentWatcher
from d2f.train.study import Study, ablation_trials, fold_trials, grid_trials, random_trials, study_table
from tests.unit.train.estimator_toys import CATALOG, RECIPE, write_recipe
from tests.unit.train.network_toys import catalog, recipe, trained, write_pictures

# Recipes: every problem at once with its place; their digest.


def problems(folder, old, new):
    assert old in RECIPE
    with pytest.raises(D2FError) as caught:
        read_recipe(write_recipe(folder, RECIPE.replace(old, new)), CATALOG)
    return caught.value.problems


def test_a_recipe_says_what_is_written_and_defaults_for_the_rest(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path), CATALOG)
    assert recipe.train == "roughness"
    assert recipe.copies.windows == [64, 96]
    assert recipe.copies.qualities == [70, 98]
    assert [entry.steps for entry in recipe.augment] == ["", "shift:3"]
    assert (recipe.balance, recipe.folds, recipe.seed) == (0.5, 3, 7)


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "says"),
    [
        ("folds: 3", "fold: 3", "D2F606", 9, "unknown key 'fold'"),
        ("folds: 3", "folds: one", "D2F606", 9, "folds must be"),
        ("folds: 3", "folds: 1", "D2F606", 9, "folds must be"),
        ("share: 1}", "share: 0}", "D2F606", 6, "augment[0].share must be"),
        ("windows: [64, 96]", "windows: 64", "D2F606", 4, "copies.windows must be"),
        ("windows: [64, 96]", "windows: [96, 64]", "D2F606", 4, "copies.windows must be two whole numbers, the lesser"),
        ("windows: [64, 96]", "qualities: [80, 300]", "D2F606", 4, "copies.qualities must be two JPEG qualities"),
        ("train: roughness\n", "\n", "D2F606", 0, "the key 'train' is missing"),
        ("train: roughness", "train: roughnes", "D2F607", 2, "unknown trainable 'roughnes'"),
        ("shift:3", "shfit", "D2F111", 7, "unknown preprocessor 'shfit'"),
        ("shift:3", "shift:30", "D2F114", 7, "option 'by' must be"),
        ("shift:5", "shift:bye=5", "D2F114", 8, "unknown option 'bye'"),
        ("seed: 7", "seed: 7\n    seed: 8", "D2F101", 11, "stands in line 10 and again in line 11"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, old, new, code, line, says):
    found = problems(tmp_path, old, new)
    assert found[0].code == code
    assert says in found[0].message
    assert found[0].place.file.endswith("recipe.yaml")
    assert found[0].place.line == line


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    found = problems(tmp_path, "folds: 3\n    seed: 7", "folds: 0\n    seed: -1\n    colour: red")
    assert len(found) == 3


def test_the_digest_follows_the_meaning_and_not_the_writing(tmp_path):
    first = recipe_digest(read_recipe(write_recipe(tmp_path), CATALOG))
    spaced = RECIPE.replace("folds: 3\n", "folds:   3   # three\n").replace("part: all", "part: all, folder: elsewhere")
    assert recipe_digest(read_recipe(write_recipe(tmp_path, spaced), CATALOG)) == first
    other = RECIPE.replace("seed: 7", "seed: 8")
    assert recipe_digest(read_recipe(write_recipe(tmp_path, other), CATALOG)) != first


# Recipes of networks: what is refused, and where it is said to be.


def read(folder: Path, text: str) -> NetworkRecipe:
    file = folder / "recipe.yaml"
    file.write_text(text)
    made = read_recipe(file, catalog())
    assert isinstance(made, NetworkRecipe)
    return made


def test_a_trainable_with_build_has_the_keys_of_networks(tmp_path: Path) -> None:
    made = read(tmp_path, "d2f: 1\ntrain: toy-network\nwith: {logits: 2}\nbatch: 4\nmemory: 1.5GB\n")
    assert (made.batch, made.with_, made.memory_bytes) == (4, {"logits": 2}, 1_500_000_000)


def test_every_mistake_is_told_at_its_place(tmp_path: Path) -> None:
    text = "d2f: 1\ntrain: toy-network\noptimizer: {rate: 0.1}\ntiles: {pick: centr}\nmemory: much\nwith: {logit: 2}\n"
    with pytest.raises(D2FError) as caught:
        read(tmp_path, text)
    found = [(problem.code, problem.place and problem.place.line) for problem in caught.value.problems]
    assert sorted(found, key=str) == [("D2F114", 6), ("D2F606", 3), ("D2F606", 4), ("D2F606", 5)]
    said = str(caught.value)
    assert "did you mean 'optimiser'?" in said
    assert "did you mean 'centre'?" in said
    assert "must be a number with MB, GB, MiB or GiB, not 'much'" in said


@pytest.mark.parametrize(
    ("augment", "code", "line"),
    [
        ("- {use: jpg}", "D2F111", 4),
        ("- {use: flip, with: {axes: vertical}}", "D2F114", 4),
        ("- {use: jpeg, draw: {quality: [60, 900]}}", "D2F114", 4),
        ("- {probability: 0.5}", "D2F606", 4),
        ("- {use: flip, probability: 1.5}", "D2F606", 4),
    ],
)
def test_a_wrong_augmentation_is_told_before_training(tmp_path: Path, augment: str, code: str, line: int) -> None:
    with pytest.raises(D2FError) as caught:
        read(tmp_path, f"d2f: 1\ntrain: toy-network\naugment:\n  {augment}\n")
    (problem,) = caught.value.problems
    assert (problem.code, problem.place and problem.place.line) == (code, line)


@pytest.mark.parametrize(("name", "meant"), [("filp", "flip"), ("cutout", "cut-out"), ("resise", "resize")])
def test_a_misspelt_operation_is_told_from_both_rooms(tmp_path: Path, name: str, meant: str) -> None:
    with pytest.raises(D2FError) as caught:
        read(tmp_path, f"d2f: 1\ntrain: toy-network\naugment:\n  - {{use: {name}}}\n")
    assert f"did you mean '{meant}'?" in str(caught.value)
    assert str(caught.value).count("did you mean") == 1


@pytest.mark.parametrize(
    ("copies", "said"),
    [
        ("windows: [128, 96]", "copies.windows must be two whole numbers, the lesser first, not [128, 96]"),
        ("qualities: [98, 80]", "copies.qualities must be two whole numbers, the lesser first, not [98, 80]"),
        ("qualities: [80, 300]", "copies.qualities must be two JPEG qualities from 1 to 100, not [80, 300]"),
    ],
)
def test_bounds_that_are_none_are_told_with_their_key(tmp_path: Path, copies: str, said: str) -> None:
    with pytest.raises(D2FError) as caught:
        read(tmp_path, f"d2f: 1\ntrain: toy-network\ncopies: {{{copies}}}\n")
    (problem,) = caught.value.problems
    assert (problem.code, problem.message, problem.place and problem.place.line) == ("D2F606", said, 3)


def test_an_unknown_trainable_and_a_wrong_option_are_located(tmp_path: Path) -> None:
    with pytest.raises(D2FError, match="unknown trainable 'toy-netwrk'") as caught:
        read(tmp_path, "d2f: 1\ntrain: toy-netwrk\n")
    assert caught.value.problems[0].code == "D2F607"
    with pytest.raises(D2FError, match="unknown option 'logit'") as caught:
        read(tmp_path, "d2f: 1\ntrain: toy-network\nwith: {logit: 2}\n")
    assert caught.value.problems[0].place is not None
    assert caught.value.problems[0].place.line == 3


def test_an_attack_to_measure_is_checked(tmp_path: Path) -> None:
    with pytest.raises(D2FError) as caught:
        read(tmp_path, "d2f: 1\ntrain: toy-network\nmeasure: ['jpeg:60', 'jpeg:6000']\n")
    assert caught.value.problems[0].place is not None
    assert caught.value.problems[0].place.path == "measure[1]"


def test_a_recipe_is_changed_at_dotted_keys() -> None:
    made = recipe(optimiser__rate=0.5, augment=[{"use": "flip"}]).changed({"augment.0.probability": 0.25})
    assert (made.optimiser.rate, made.augment[0].probability) == (0.5, 0.25)


# Studies: which trials there are, that they resume, what the table says.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_pictures(folder / "set")
    return folder


class Counting(SilentWatcher):
    """Counts epochs."""

    def __init__(self) -> None:
        self.epochs, self.said = 0, []

    def epoch(self, *_: Any) -> None:
        self.epochs += 1

    def say(self, line: str) -> None:
        self.said.append(line)


def run(folder: Path, name: str, trials: list[Any]) -> tuple[list[dict[str, Any]], Counting]:
    watcher = Counting()
    return Study(catalog(), folder / name, str(folder / "set"), 1, watcher).run(trials), watcher


def test_every_fold_validates_once(folder: Path) -> None:
    rows, _ = run(folder, "folds", fold_trials(recipe(epochs=1), 3))
    images = [
        json.loads((folder / "folds" / row["weights"]).with_suffix(".run").joinpath("run.json").read_text())
        for row in rows
    ]
    assert [int(facts["images"]) for facts in images] == [12, 18, 18]
    assert len({row["sha256"] for row in rows}) == 3
    assert "| mean ± deviation, 3 of 3 |" in (folder / "folds" / "table.md").read_text()


def test_a_study_goes_on_where_it_was_ended(folder: Path) -> None:
    trials = grid_trials(recipe(epochs=1), catalog(), ["optimiser.rate=0.1,0.01", "with.logits=1,2"])
    assert [trial.name for trial in trials] == [
        "optimiser.rate=0.1, with.logits=1",
        "optimiser.rate=0.1, with.logits=2",
        "optimiser.rate=0.01, with.logits=1",
        "optimiser.rate=0.01, with.logits=2",
    ]
    _, first = run(folder, "grid", trials[:2])
    rows, second = run(folder, "grid", trials)
    assert (first.epochs, second.epochs) == (2, 2)
    assert "trial 1 of 4: optimiser.rate=0.1, with.logits=1 is done" in second.said
    assert study_table(rows) == (folder / "grid" / "table.md").read_text().rstrip()
    assert (folder / "grid" / "study.png").is_file()
    # The trials are of four recipes.
    assert "mean" not in study_table(rows)


@pytest.mark.parametrize("part", ["set", "valid", "tested", "start.safetensors"])
def test_a_study_of_other_images_or_weights_is_run_anew(tmp_path: Path, part: str) -> None:
    for seed, name in enumerate(("set", "valid", "tested", "early/set")):
        write_pictures(tmp_path / name, 4, seed=seed)
    shutil.copy(trained(tmp_path / "early", "first", recipe(epochs=1)).weights, tmp_path / "start.safetensors")
    wanted = recipe(
        epochs=1,
        data__validation=str(tmp_path / "valid"),
        data__test=str(tmp_path / "tested"),
        start={"weights": str(tmp_path / "start.safetensors")},
    )
    trials = grid_trials(wanted, catalog(), ["optimiser.rate=0.01"])
    (first,), one = run(tmp_path, "study", trials)
    (again,), other = run(tmp_path, "study", trials)
    assert (one.epochs, other.epochs) == (1, 0)
    assert again["sha256"] == first["sha256"]
    if part == "start.safetensors":
        shutil.copy(trained(tmp_path / "early", "second", recipe(epochs=1, seed=4)).weights, tmp_path / part)
    else:
        shutil.rmtree(tmp_path / part)
        write_pictures(tmp_path / part, 4, seed=9)
    (changed,), last = run(tmp_path, "study", trials)
    assert last.epochs == 1
    assert changed["key"] != first["key"]


def test_a_trial_that_fails_costs_no_other(folder: Path) -> None:
    rows, _ = run(folder, "fails", grid_trials(recipe(epochs=1), catalog(), ["optimiser.rate=1e30,0.01"]))
    assert "the loss is not finite" in rows[0]["error"]
    assert "figures" in rows[1]
    assert "failed: the loss is not finite" in study_table(rows)


def test_a_trial_that_diverges_in_its_last_update_costs_no_other(folder: Path) -> None:
    trials = grid_trials(recipe(epochs=1, batch=36), catalog(), ["optimiser.rate=1e38,0.01"])
    rows, _ = run(folder, "diverges", trials)
    assert "are not finite after update 1" in rows[0]["error"]
    assert "figures" in rows[1]


def test_seeds_of_one_recipe_have_a_mean_of_those_that_went_through() -> None:
    def row(seed: int, auc: float | None) -> dict[str, Any]:
        named = {"trial": f"seed={seed}", "values": {"seed": seed}}
        figures = {"clean": {"loss": 0.5, "accuracy": 0.75, "auc": auc}}
        return named | ({"error": "no"} if auc is None else {"figures": figures})

    rows = [row(1, 0.8), row(2, None), row(3, 0.9)]
    assert study_table(rows).splitlines()[2:5] == [
        "| seed=1 | 0.5000 | 0.750 | 0.800 | +0.000 |",
        "| seed=2 | failed: no |  |  |  |",
        "| seed=3 | 0.5000 | 0.750 | 0.900 | +0.100 |",
    ]
    assert (
        study_table(rows).splitlines()[-1]
        == "| mean ± deviation, 2 of 3 | 0.500 ± 0.000 | 0.750 ± 0.000 | 0.850 ± 0.071 |  |"
    )
    other = row(4, 0.7) | {"values": {"seed": 4, "batch": 2}}
    assert "mean" not in study_table([*rows, other])


def test_data_that_no_trial_can_do_without_are_checked_before_any(tmp_path: Path) -> None:
    watcher = Counting()
    for name, code in (("nowhere", "D2F002"), ("set", "D2F603")):
        write_pictures(tmp_path / "set", 1)
        with pytest.raises(D2FError) as caught:
            Study(catalog(), tmp_path / "study", str(tmp_path / name), 1, watcher).run(fold_trials(recipe(), 5))
        assert caught.value.problems[0].code == code
    assert watcher.said == []
    assert not (tmp_path / "study").exists()


def test_a_broken_image_ends_a_study_before_it_trains(tmp_path: Path) -> None:
    file = next(write_pictures(tmp_path / "set").rglob("*.png"))
    file.write_bytes(file.read_bytes()[:60])
    watcher = Counting()
    with pytest.raises(D2FError) as caught:
        Study(catalog(), tmp_path / "study", str(tmp_path / "set"), 1, watcher).run(fold_trials(recipe(), 3))
    assert [problem.code for problem in caught.value.problems] == ["D2F620"]
    assert (watcher.epochs, len([line for line in watcher.said if line.startswith("trial")])) == (0, 1)


def test_data_of_one_trial_cost_no_other(folder: Path) -> None:
    trials = grid_trials(recipe(epochs=1), catalog(), ["data.validation=nowhere,0.25"])
    rows, _ = run(folder, "one", trials)
    assert "there is no folder or manifest 'nowhere'" in rows[0]["error"]
    assert "figures" in rows[1]


def test_random_search_repeats_and_stays_in_range() -> None:
    sets = ["optimiser.rate=0.001..0.1", "batch=4..16", "with.logits=1,2"]
    one, other = (random_trials(recipe(), catalog(), sets, 20, seed=5) for _ in range(2))
    assert [trial.name for trial in one] == [trial.name for trial in other]
    rates = [trial.recipe.optimiser.rate for trial in one]
    assert min(rates) >= 0.001
    assert max(rates) <= 0.1
    assert sum(rate < 0.01 for rate in rates) > 4
    assert {trial.recipe.with_["logits"] for trial in one} == {1, 2}
    assert random_trials(recipe(), catalog(), sets, 3, seed=5)[2].name == one[2].name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate", "'rate' is not understood"),
        ("optimiser.speed=1", "unknown key 'optimiser.speed'"),
        ("optimizer.rate=1", "the recipe has no key 'optimizer.rate'"),
        ("optimiser.rate=-1", "optimiser.rate must be"),
        ("with.logit=1", "unknown option 'logit'"),
        ("batch=4..8", "has a range"),
        ("augment.0.use=filp", "did you mean 'flip'?"),
        ("augment.0.use=jpge", "did you mean 'jpeg'?"),
        ("measure=[jpeg:600]", "option 'quality' must be"),
        ("copies.qualities=[98,80]", "copies.qualities must be"),
        ("copies.qualities=[98", "a bracket is not closed"),
        ("start.publisher=timm", "the key 'start.weights' is missing"),
        ("start.weight=a.safetensors", "unknown key 'start.weight'"),
        ("memory.most=2GB", "the recipe has no key 'memory.most'"),
    ],
)
def test_a_wrong_set_is_refused(text: str, said: str) -> None:
    with pytest.raises(D2FError) as caught:
        grid_trials(recipe(augment=[{"use": "flip"}]), catalog(), [text])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("batch=32..8", "the range '32..8' begins above its end"),
        ("optimiser.rate=abc..def", "the range 'abc..def' is not of two numbers"),
        ("optimiser.rate=0.1..true", "the range '0.1..true' is not of two numbers"),
        ("batch=1..99999999999999999999", "is not of two numbers"),
        ("augment.0.use=filp", "did you mean 'flip'?"),
    ],
)
def test_a_wrong_set_of_a_random_search_is_refused(text: str, said: str) -> None:
    with pytest.raises(D2FError) as caught:
        random_trials(recipe(augment=[{"use": "flip"}]), catalog(), [text], 2)
    assert said in str(caught.value)


def test_lists_are_values_and_parts_that_are_absent_come_about() -> None:
    sets = ["copies.qualities=[70,98],[80,90]", "start.weights=../one.safetensors", "start.freeze=head,null"]
    trials = grid_trials(recipe(), catalog(), sets)
    assert [trial.recipe.copies.qualities for trial in trials] == [[70, 98], [70, 98], [80, 90], [80, 90]]
    starts = [trial.recipe.start for trial in trials]
    assert [start and start.freeze for start in starts] == ["head", None, "head", None]
    assert {start and start.weights for start in starts} == {"../one.safetensors"}
    assert recipe().start is None


def test_ablation_takes_one_thing_away_at_a_time() -> None:
    augment = [{"use": "flip"}, {"one_of": [{"use": "jpeg"}, {"use": "resize", "with": {"factor": 0.5}}]}]
    trials = {trial.name: trial.recipe for trial in ablation_trials(recipe(augment=augment), catalog())}
    assert list(trials) == [
        "as it is",
        "without residual connections",
        "without flip (1)",
        "without jpeg or resize (2)",
        "without augmentation",
        "without balancing",
    ]
    assert trials["without residual connections"].with_["residual"] is False
    assert [one.use for one in trials["without jpeg or resize (2)"].augment] == ["flip"]
    assert trials["without balancing"].balance.by == "none"


def test_resnet_names_its_simpler_kin() -> None:
    kin = ResNetTrainable(NetworkOptions(depth=44, stem="early")).ablations()
    assert kin["depth 32"] == {"depth": 32, "stem": "early", "residual": True, "logits": 1}
    assert kin["without residual connections"]["residual"] is False
    assert ResNetTrainable(NetworkOptions(depth=18, residual=False)).ablations() == {}
