"""`d2f train RECIPE` for estimators and networks, from the command line to the file; what is drawn on a terminal."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from d2f.cli.main import main
from d2f.cli.train import TrainingProgress
from d2f.train.report import ValidationFigures
from d2f.weights import read_weights
from tests.unit.train.estimator_toys import make_images
from tests.unit.train.network_toys import write_pictures

# Estimators.

RECIPE = """\
d2f: 1
train: noise-statistics
with: {strength: 0.01}
data: {part: all}
copies: {protocol: crop, fitting: 1, judging: 1, windows: [72, 96]}
augment:
  - {share: 1}
  - {share: 1, steps: "jpeg:80"}
measure: ["wiener:3"]
folds: 2
seed: 3
"""


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return make_images(folder)


def train(folder: Path, images: Path, *more: str, recipe: str = RECIPE, name: str = "out") -> int:
    (folder / "recipe.yaml").write_text(recipe, "utf-8")
    output = folder / f"{name}.safetensors"
    return main(["train", str(folder / "recipe.yaml"), "--data", str(images), "-o", str(output), *more])


def test_it_prints_figures_and_writes_weights_that_the_detector_loads(tmp_path, images, capsys):
    assert train(tmp_path, images) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    head = "| under | images | loss | accuracy | balanced accuracy | F1 | AUC | AUC within two-class collections |"
    assert lines[0] == head
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| clean", "| wiener:3"]
    assert "24 images: 12 real, 12 generated" in printed.err
    assert "cross-validation: fold 2 of 2" in printed.err
    held = read_weights(tmp_path / "out.safetensors")
    assert lines[-1].endswith(f"out.safetensors  sha256 {held.sha256}")
    log = (tmp_path / "out.run" / "log.jsonl").read_text("utf-8")
    assert json.loads(log.splitlines()[-1])["sha256"] == held.sha256
    chain = "d2f: 1\nname: own\ndetectors:\n  - {use: noise-statistics, with: {weights: WEIGHTS}}\n"
    (tmp_path / "chain.yaml").write_text(chain.replace("WEIGHTS", str(tmp_path / "out.safetensors")), "utf-8")
    assert main(["chain", "check", str(tmp_path / "chain.yaml")]) == 0


def test_the_number_of_workers_changes_nothing(tmp_path, images):
    assert train(tmp_path, images, name="one") == train(tmp_path, images, "--workers", "2", name="two") == 0
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_a_wrong_recipe_ends_with_exit_code_2_and_its_place(tmp_path, images, capsys):
    assert train(tmp_path, images, recipe=RECIPE.replace("wiener:3", "wiener:0")) == 2
    printed = capsys.readouterr().err
    assert "error[D2F114]: preprocessor 'wiener': option 'window'" in printed
    assert "recipe.yaml:9:" in printed
    assert not (tmp_path / "out.safetensors").exists()


def test_without_data_it_says_what_to_give(tmp_path, images, capsys):
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    assert main(["train", str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "out.safetensors")]) == 2
    assert "give a folder or manifest with --data" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_a_file_that_is_there_is_replaced_on_request_only(tmp_path, images, capsys, suffix):
    file = tmp_path / f"out{suffix}"
    file.write_text("mine", "utf-8")
    assert train(tmp_path, images) == 2
    printed = capsys.readouterr().err
    assert f"error[D2F004]: '{file}' already exists, and `d2f train` did not make it" in printed
    assert "to replace it: --overwrite" in printed
    assert "cross-validation" not in printed
    assert file.read_text("utf-8") == "mine"
    assert train(tmp_path, images, "--overwrite") == 0
    assert "trainable" in read_weights(tmp_path / "out.safetensors").metadata
    # What d2f made, it makes anew.
    assert train(tmp_path, images) == 0


def test_more_images_may_be_excluded(tmp_path, images, capsys):
    assert train(tmp_path, images, "--exclude", "collection=c1", "--exclude", "form=") == 0
    assert "8 of 24 images are excluded" in capsys.readouterr().err
    assert read_weights(tmp_path / "out.safetensors").metadata["images"] == "16"
    assert train(tmp_path, images, "--exclude", "camera=x", name="other") == 2
    assert "`data.exclude[0]` names a column that no image has: 'camera'" in capsys.readouterr().err
    assert train(tmp_path, images, "--exclude", "camera", name="other") == 2
    assert "--exclude expects COLUMN=VALUE, not 'camera'" in capsys.readouterr().err


def test_a_flag_of_networks_is_not_ignored(tmp_path, images, capsys):
    assert train(tmp_path, images, "--resume") == 2
    assert "'noise-statistics' is an estimator" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("text", ["", "# nothing\n", "null\n", "- 1\n"])
def test_a_file_without_a_recipe_is_told_how_one_begins(tmp_path, images, capsys, text):
    assert train(tmp_path, images, recipe=text) == 2
    printed = capsys.readouterr().err
    assert "error[D2F107]" in printed
    assert "a recipe begins with the lines `d2f: 1` and `train: NAME`" in printed
    assert "chain" not in printed.replace(str(tmp_path), "")


def test_what_is_no_file_is_told_as_a_recipe(tmp_path, images, capsys):
    arguments = ["--data", str(images), "-o", str(tmp_path / "out.safetensors")]
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\0\0")
    for name, said in (("none.yaml", "there is no recipe"), ("images", "a folder, not a recipe"), ("picture.yaml", "")):
        assert main(["train", str(tmp_path / name), *arguments]) == 2
        printed = capsys.readouterr().err.replace(str(tmp_path), "")
        assert "error[D2F108]" in printed
        assert said in printed
        assert "chain" not in printed


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
def test_workers_end_with_a_run_that_is_killed(tmp_path, images):
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("fitting: 1", "fitting: 40"), "utf-8")
    arguments = ["train", str(tmp_path / "recipe.yaml"), "--data", str(images), "--workers", "2"]
    start = "import sys; from d2f.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", start, *arguments, "-o", str(tmp_path / "out.safetensors")]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(children(run.pid)) >= 2)
        workers = children(run.pid)
    finally:
        run.kill()
        run.wait()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def children(parent: int) -> list[int]:
    """The processes that a process has started and that work on images by now."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(status[1]) == parent and b"worker_child" in command and int(status[11]) > 100:
            found.append(int(folder.name))
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not come about within two minutes"
        time.sleep(0.05)


# Networks, and what is drawn on a terminal.

NETWORK_RECIPE = """\
d2f: 1
train: resnet
with: {depth: 20, stem: early}
data: {part: all, validation: 0.25}
tiles: {size: 16, count: 2, pick: grid}
copies: {protocol: as-found}
batch: 8
epochs: 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "set")
    (tmp_path / "recipe.yaml").write_text(NETWORK_RECIPE)
    return tmp_path


def train_network(folder: Path, *more: str) -> int:
    return main(["train", str(folder / "recipe.yaml"), "--data", str(folder / "set"), *more])


def test_a_recipe_may_stand_where_a_command_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(folder / "w.safetensors")
    assert train_network(folder, "-o", output) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == (
        "| under | images | loss | accuracy | balanced accuracy | F1 | AUC | AUC within two-class collections |"
    )
    assert "epoch 1: loss " in printed.err
    assert train_network(folder, "-o", output) == 2
    assert "error[D2F623]: a run is in" in capsys.readouterr().err
    assert (
        main(["train", "run", str(folder / "recipe.yaml"), "--data", str(folder / "set"), "-o", output, "--resume"])
        == 0
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_a_network_replaces_a_file_that_is_there_on_request_only(
    folder: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    output, file = str(folder / "w.safetensors"), folder / f"w{suffix}"
    file.write_text("mine")
    for more in ((), ("--resume",)):
        assert train_network(folder, "-o", output, *more) == 2
        printed = capsys.readouterr().err
        assert f"error[D2F004]: '{file}' already exists, and `d2f train` did not make it" in printed
        assert "tiles" not in printed
    assert file.read_text() == "mine"
    assert train_network(folder, "-o", output, "--overwrite") == 0
    assert file.read_bytes() != b"mine"
    shutil.rmtree(folder / "w.run")
    # What d2f made, it makes anew.
    assert train_network(folder, "-o", output) == 0


def test_an_output_that_cannot_be_is_told_before_training(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(output: str, *more: str) -> str:
        assert train_network(folder, "-o", str(folder / output), *more) == 2
        printed = capsys.readouterr().err
        assert "training" not in printed
        return printed

    (folder / "w.safetensors").mkdir()
    (folder / "v.npz").mkdir()
    (folder / "file").touch()
    assert f"error[D2F004]: '{folder / 'w.safetensors'}' is a folder" in said("w.safetensors", "--overwrite")
    assert f"error[D2F004]: '{folder / 'v.npz'}' is a folder" in said("v.safetensors")
    assert f"'{folder / 'file'}' is a file, not a folder" in said("file/w.safetensors")
    assert "--resume and --overwrite exclude each other" in said("u.safetensors", "--resume", "--overwrite")
    assert "'resnet' is a network" in said("u.safetensors", "--cache", str(folder / "cache"))
    arguments = [str(folder / "recipe.yaml"), "--data", str(folder / "set"), "-o", str(folder / "file")]
    assert main(["train", "kfold", *arguments]) == 2
    assert f"'{folder / 'file'}' is a file, not a folder" in capsys.readouterr().err


def test_a_study_prints_its_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", str(folder / "set"), "-o", str(folder / "study"), "--set", "optimiser.rate=0.1,0.01"]
    assert main(["train", "sweep", str(folder / "recipe.yaml"), *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| trial | loss | accuracy | AUC clean | difference |"
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| optimiser.rate=0.1",
        "| optimiser.rate=0.01",
    ]


def test_a_study_with_a_trial_that_failed_ends_with_exit_code_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(folder / "set"), "-o", str(folder / "study"), "--set", "optimiser.rate=1e38,0.01"]
    assert main(["train", "sweep", str(folder / "recipe.yaml"), *arguments]) == 1
    assert "| optimiser.rate=1e+38 | failed: " in capsys.readouterr().out
    arguments = ["--data", str(folder / "nowhere"), "-o", str(folder / "other")]
    assert main(["train", "kfold", str(folder / "recipe.yaml"), *arguments]) == 2
    assert "error[D2F002]" in capsys.readouterr().err


def test_a_wrong_recipe_and_a_missing_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "recipe.yaml").write_text(NETWORK_RECIPE.replace("batch: 8", "bacth: 8"))
    assert train_network(folder, "-o", str(folder / "w.safetensors")) == 2
    printed = capsys.readouterr().err
    assert "error[D2F606]: unknown key 'bacth'" in printed
    assert "did you mean 'batch'?" in printed
    assert "recipe.yaml:7:1" in printed
    assert main(["train", str(folder / "nothing.yaml"), "-o", "w.safetensors"]) == 2
    assert "nothing.yaml" in capsys.readouterr().err


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "RECIPE | COMMAND" in printed
    for name in ("run", "kfold", "sweep", "ablate"):
        assert f"\n  {name} " in printed


def figures() -> ValidationFigures:
    return ValidationFigures(4, 0.5, 0.75, 0.75, 0.8, 0.875, 0.5, {}, {"real": 1.0}, [[2, 0], [1, 1]], np.zeros(4))


def test_a_bar_shows_loss_and_rate() -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with TrainingProgress(console) as progress:
        progress.images("tiles", 3, 9)
        progress.step(0, 2, 7, 0.61234, 0.01)
        progress.refresh()
        progress.epoch(0, 0.6, figures(), True)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "epoch 1" in shown
    assert "loss 0.6123  rate 0.01" in shown
    assert "epoch 1: loss 0.6000; validation loss 0.5000, accuracy 0.750, AUC 0.875, best so far" in shown


def test_without_a_terminal_there_is_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    lines = TrainingProgress()
    lines.step(0, 1, 2, 0.5, 0.1)
    for done in range(1, 401):
        lines.images("tiles", done, 400)
    lines.epoch(1, 0.6, figures(), False)
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 21
    assert printed[0] == "tiles of 20 of 400 images"
    assert printed[-1] == "epoch 2: loss 0.6000; validation loss 0.5000, accuracy 0.750, AUC 0.875"
