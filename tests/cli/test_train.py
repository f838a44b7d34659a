"""`d2f train RECIPE` for an estimator, from the command line to the file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from d2f.cli.main import main
from d2f.weights import read_weights
from tests.unit.train.estimator_toys import make_images

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
