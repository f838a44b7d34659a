"""Studies: which trials there are, that they resume, what the table says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from d2f_resnet.trainable import NetworkOptions, ResNetTrainable

from d2f.api.errors import D2FError
from d2f.train.run import SilentWatcher
from d2f.train.study import Study, ablation_trials, fold_trials, grid_trials, random_trials, study_table
from tests.unit.train.network_toys import catalog, recipe, trained, write_pictures


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
