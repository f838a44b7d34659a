"""Stages with weights: strict, recorded, free of pickles; and what happens without the weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

from d2f import Weights
from d2f.testing import check_stage, run_checks
from d2f.weights import as_record, read_weights, resolve, short_digests, strict, write_weights
from tests.unit.testing.stages import Contrast

CHECKPOINTS = Path(__file__).parents[1] / "weights" / "checkpoints"


class WeightsOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str = Field(description="Name of a set of weights, or a path.")


class Weighed(Contrast):
    """A sound detector with weights of one array."""

    name = "weighed"
    Options = WeightsOptions

    def __init__(self, options: Any) -> None:
        self.scale = 1.0
        self.weights: Any = (as_record(resolve(options.weights, ())),)
        self.trained_on: Any = None

    def load(self) -> None:
        held = read_weights(self.weights[0])
        strict(held.arrays, {"scale": (1,)})
        self.scale, self.trained_on = float(held.arrays["scale"][0]), held.trained_on


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "scale.safetensors"
    write_weights(file, {"scale": np.array([2.0], np.float32)}, trained_on=short_digests(["ab" * 32]))
    return str(file)


def test_sound(path: str) -> None:
    report = check_stage(Weighed, {"weights": path})
    assert report["its weights are recorded"].said == path
    assert report["it refuses weights that do not fit"].said == "missing, unknown and misshapen arrays"
    assert report["it says what its weights were trained on"].said == "1 images"
    assert report["the same image gives the same score"].said == "within 0.0001"


def test_no_weights_no_word_of_them() -> None:
    assert "its weights are recorded" not in [result.check for result in run_checks(Contrast).results]


def test_lax_loading(path: str) -> None:
    class Lax(Weighed):
        def load(self) -> None:
            self.scale = float(read_weights(self.weights[0]).arrays["scale"].ravel()[0])

    found = run_checks(Lax, {"weights": path})["it refuses weights that do not fit"]
    assert found.found == ("it loaded a file with an unknown array", "it loaded a file where 'scale' has another shape")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (Weights("a", "0" * 64, "MIT", ("package:d2f_a/a.pt",)), "is of a format that runs code when it is read"),
        (Weights("a", "0" * 64, "MIT", ("hf://o/r/a.bin@main",)), "is of a format that runs code when it is read"),
        (Weights("a", "f00", "MIT", ("a.npz",)), "a: its sha256 is not 64 hexadecimal digits"),
        (Weights("a", "0" * 64, "", ("a.npz",)), "a: no licence"),
        (Weights("a", "0" * 64, "MIT", ()), "a: no source"),
        ("a.npz", "'a.npz' is no d2f.Weights"),
    ],
)
def test_records(record: Any, words: str) -> None:
    class Recorded(Contrast):
        weights = (record,)

    assert words in "\n".join(run_checks(Recorded)["its weights are recorded"].found)


@pytest.mark.parametrize(("file", "state"), [("zip.pth", "passed"), ("whole-network.pth", "failed")])
def test_a_checkpoint_is_taken_where_it_holds_tensors_alone(file: str, state: str) -> None:
    path = CHECKPOINTS / file
    record = Weights("a", hashlib.sha256(path.read_bytes()).hexdigest(), "MIT", (str(path),))

    class Recorded(Contrast):
        weights = (record,)

    assert run_checks(Recorded)["its weights are recorded"].state == state


def test_trained_on_is_uint64(path: str) -> None:
    class Floating(Weighed):
        def load(self) -> None:
            super().load()
            self.trained_on = np.array([0.5])

    assert run_checks(Floating, {"weights": path})["it says what its weights were trained on"].state == "failed"


class Absent(Contrast):
    weights = (Weights("contrast/large", "0" * 64, "MIT", ("https://example.org/a.npz",)),)

    def load(self) -> None:
        read_weights(self.weights[0])


def test_weights_that_are_not_here() -> None:
    said = "weights 'contrast/large' are not on this machine; to fetch them: d2f weights pull contrast/large"
    with pytest.raises(AssertionError, match="could not be checked") as caught:
        check_stage(Absent)
    assert said in str(caught.value)
    report = check_stage(Absent, without_weights=True)
    assert [(result.check, result.said) for result in report.skipped[-2:]] == [
        ("load() reads its weights", said),
        ("the other 13 checks", said),
    ]


def test_options_without_defaults() -> None:
    with pytest.raises(AssertionError) as caught:
        check_stage(Weighed)
    assert str(caught.value) == (
        "detector 'weighed' could not be checked: no default for weights; give options: check_stage(Weighed, {…})"
    )


def test_requirements() -> None:
    class Demanding(Contrast):
        requires = ("never-written>=2",)

    with pytest.raises(AssertionError, match="'never-written>=2' is not installed"):
        check_stage(Demanding, without_weights=True)
