"""`d2f train` for networks, from the command line; what is drawn on a terminal."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest

from d2f.cli.main import main
from d2f.cli.train import TrainingProgress
from d2f.train.figures import ValidationFigures
from tests.unit.train.network_toys import write_pictures

RECIPE = """\
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
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def train(folder: Path, *more: str) -> int:
    return main(["train", str(folder / "recipe.yaml"), "--data", str(folder / "set"), *more])


def test_a_recipe_may_stand_where_a_command_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(folder / "w.safetensors")
    assert train(folder, "-o", output) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == (
        "| under | images | loss | accuracy | balanced accuracy | F1 | AUC | AUC within two-class collections |"
    )
    assert "epoch 1: loss " in printed.err
    assert train(folder, "-o", output) == 2
    assert "error[D2F623]: a run is in" in capsys.readouterr().err
    assert (
        main(["train", "run", str(folder / "recipe.yaml"), "--data", str(folder / "set"), "-o", output, "--resume"])
        == 0
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_a_file_that_is_there_is_replaced_on_request_only(
    folder: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    output, file = str(folder / "w.safetensors"), folder / f"w{suffix}"
    file.write_text("mine")
    for more in ((), ("--resume",)):
        assert train(folder, "-o", output, *more) == 2
        printed = capsys.readouterr().err
        assert f"error[D2F004]: '{file}' already exists, and `d2f train` did not make it" in printed
        assert "tiles" not in printed
    assert file.read_text() == "mine"
    assert train(folder, "-o", output, "--overwrite") == 0
    assert file.read_bytes() != b"mine"
    shutil.rmtree(folder / "w.run")
    # What d2f made, it makes anew.
    assert train(folder, "-o", output) == 0


def test_an_output_that_cannot_be_is_told_before_training(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(output: str, *more: str) -> str:
        assert train(folder, "-o", str(folder / output), *more) == 2
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
    (folder / "recipe.yaml").write_text(RECIPE.replace("batch: 8", "bacth: 8"))
    assert train(folder, "-o", str(folder / "w.safetensors")) == 2
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
