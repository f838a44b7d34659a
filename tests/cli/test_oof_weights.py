"""Out-of-fold weights of `d2f train` and `d2f chain fit --oof-weights`: one set for the weights and for the chain."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from d2f.cli.main import main
from d2f.weights import read_weights
from tests.unit.train.estimator_toys import make_images

RECIPE = """\
d2f: 1
train: noise-statistics
with: {strength: 0.01}
data: {part: all}
copies: {protocol: crop, fitting: 1, judging: 1, windows: [72, 96]}
folds: 3
seed: 3
"""
CHAIN = """\
d2f: 1
name: own
detectors:
  - {id: noise, use: noise-statistics, with: {weights: out.safetensors}}
combine: {use: logistic}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    make_images(tmp_path / "images")
    Path("recipe.yaml").write_text(RECIPE, "utf-8")
    Path("own.yaml").write_text(CHAIN, "utf-8")
    return tmp_path


def train(*more: str, output: str = "out.safetensors") -> int:
    return main(["train", "recipe.yaml", "--data", "images", "-o", output, *more])


def fit(*more: str, command: str = "fit") -> int:
    common = ("--data", "images", "--protocol", "as-found", "--no-attack", "--folds", "3")
    return main(["chain", command, "own.yaml", *common, *more])


def test_a_chain_is_fitted_to_the_images_that_its_weights_were_trained_on(place, capsys):
    assert train() == 0
    capsys.readouterr()
    assert fit("-o", "fitted.yaml") == 2
    refused = capsys.readouterr().err
    assert "error[D2F604]: 24 of 24 images trained the weights of 'noise'" in refused
    assert "--oof-weights DETECTOR=DIR" in refused
    assert fit("-o", "fitted.yaml", "--oof-weights", "noise=out.run/folds") == 0
    printed = capsys.readouterr()
    assert "24 images: 12 real, 12 generated" in printed.out
    assert "optimistic" not in printed.out + printed.err
    digests = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in Path("out.run/folds").iterdir())
    fitted = YAML(typ="safe", pure=True).load(Path("fitted.yaml").read_text("utf-8"))["fitted"]
    assert (len(digests), fitted["oof_weights"]) == (3, {"noise": digests})
    assert main(["chain", "check", "fitted.yaml"]) == 0
    assert "D2F506" not in capsys.readouterr().err
    assert fit("--oof-weights", "noise=out.run/folds", "--draws", "20", command="ablate") == 0


def test_a_second_run_replaces_what_the_first_one_kept(place, capsys):
    assert train() == 0
    Path("recipe.yaml").write_text(RECIPE.replace("folds: 3", "folds: 2"), "utf-8")
    assert train() == 0
    kept = sorted(Path("out.run/folds").iterdir())
    assert [file.name for file in kept] == ["fold-1.safetensors", "fold-2.safetensors"]
    assert [read_weights(file).metadata["without_fold"] for file in kept] == ["1", "2"]


def test_a_network_has_no_features_to_cache(place, capsys):
    Path("recipe.yaml").write_text("d2f: 1\ntrain: resnet\nwith: {depth: 20}\ndata: {part: all}\n", "utf-8")
    assert train("--cache", "cache") == 2
    printed = capsys.readouterr().err
    assert "error[D2F001]: --cache is for estimators, and 'resnet' is a network" in printed
    assert not Path("cache").exists()


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("noise",), "D2F001", "--oof-weights expects DETECTOR=DIR, not 'noise'"),
        (("=folds",), "D2F001", "--oof-weights expects DETECTOR=DIR, not '=folds'"),
        (("noise=",), "D2F001", "--oof-weights expects DETECTOR=DIR, not 'noise='"),
        (("noise=a", "noise=b"), "D2F001", "--oof-weights gives 'noise' two folders"),
        (("noize=folds",), "D2F604", "chain 'own' has no detector 'noize'"),
        (("noise=nowhere",), "D2F604", "leaves them in FILE.run/folds"),
    ],
)
@pytest.mark.parametrize("command", ["fit", "ablate"])
def test_what_a_user_can_get_wrong(place, capsys, given, code, said, command):
    Path("own.yaml").write_text(CHAIN.replace(", with: {weights: out.safetensors}", ""), "utf-8")
    more = [word for each in given for word in ("--oof-weights", each)]
    assert fit(*more, *(("-o", "fitted.yaml") if command == "fit" else ()), command=command) == 2
    printed = capsys.readouterr().err
    assert f"error[{code}]" in printed
    assert said in printed
    assert not Path("fitted.yaml").exists()


def test_images_are_left_out_as_the_recipe_says(place, capsys):
    text = RECIPE.replace("{part: all}", "{part: all, exclude: [{column: collection, equals: c1}]}")
    Path("recipe.yaml").write_text(text, "utf-8")
    assert train() == 0
    assert "20 images: 10 real, 10 generated, 5 collections" in capsys.readouterr().err
    Path("recipe.yaml").write_text(text.replace("collection, equals: c1", "group, equals: ''"), "utf-8")
    assert train() == 2
    assert "error[D2F606]: `exclude` leaves no image" in capsys.readouterr().err
