"""The kit of d2f.testing: stages that keep their contract pass, each way to break it is told in plain words."""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from d2f import D2FError, Weights
from d2f.plugins.catalog import Catalog
from d2f.testing import check_common, check_stage, run_checks
from d2f.testing.kit import CHECKS
from d2f.testing.report import watched
from d2f.testing.subject import members_of_scores
from d2f.weights import as_record, read_weights, resolve, short_digests, strict, write_weights
from tests.distributions import Distributions, installed, stage_module
from tests.unit.testing.broken import BROKEN, Divides, Hoards, Unstopped
from tests.unit.testing.stages import SOUND, Contrast, Line, Means, NoOptions, Shift, Sum

# Stages that keep their contract pass, and the report says what was measured.


@pytest.mark.parametrize("stage", SOUND, ids=lambda stage: stage.name)
def test_a_sound_stage_passes(stage: type) -> None:
    report = check_stage(stage)
    assert report.failed == ()
    assert len(report.results) >= 10
    assert {result.check for result in report.results} <= {check.name for check in CHECKS[report.kind]}


def test_names_of_checks_are_unique_within_a_kind() -> None:
    for checks in CHECKS.values():
        assert len({check.name for check in checks}) == len(checks)


def test_what_was_measured_is_told() -> None:
    report = check_stage(Contrast, {"scale": 3.0})
    assert report["tiny and blank images are no exception"].said == "5 of 10 abstained on"
    assert report["its options are documented"].said == "scale"
    assert report["a score does not depend on its neighbours"].said == "alone, together, in reverse"
    assert check_stage(Shift)["the seed is its only randomness"].said == "the seed matters"
    assert check_stage(Line)["a fit finds what is there"].said.endswith("nats above the best")
    assert check_stage(Sum)["contributions add up"].said in ("bias +0.000", "bias -0.000")
    assert check_stage(Means)["features are finite, one row a picture"].said == "6 features"


def test_the_report_is_a_line_a_check() -> None:
    lines = str(run_checks(Contrast)).splitlines()
    assert lines[0] == "detector 'contrast'"
    assert "  ✓ it says what it wants                      WholeImage" in lines
    assert lines[4].startswith("  - listing it loads no array library          it is not installed as a plugin")


def test_kinds() -> None:
    assert run_checks(Shift).kind == "preprocessor"
    assert run_checks(Contrast, kind="detector").kind == "detector"
    with pytest.raises(
        ValueError, match="kind must be one of detector, preprocessor, precondition, evidence, calibrator"
    ):
        run_checks(Contrast, kind="filter")


# Each way to break the contract is told in plain words, by the check that is meant for it.


@pytest.fixture
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("D2F_TEST_OF_TESTING", "")
    yield
    os.chdir(tmp_path)


@pytest.mark.usefixtures("_in_a_folder_of_its_own")
@pytest.mark.parametrize(("stage", "check", "words"), BROKEN, ids=[stage.__name__ for stage, _, _ in BROKEN])
def test_it_is_told(stage: type, check: str, words: str) -> None:
    report = run_checks(stage)
    result = report[check]
    assert result.state == "failed"
    assert result.next_step
    assert words in "\n".join(result.lines())
    with pytest.raises(AssertionError, match=f"{report.kind} '{report.name}' .* fails"):
        check_stage(stage)


@pytest.mark.usefixtures("_in_a_folder_of_its_own")
def test_every_check_that_can_fail_is_made_to() -> None:
    proved = {check for _, check, _ in BROKEN}
    elsewhere = {
        "its weights are recorded",
        "it refuses weights that do not fit",
        "it says what its weights were trained on",
        "listing it loads no array library",
        "what it requires is installed",
        "options survive a chain file",
        "an image's cost is bounded",
        "a fit survives a chain file",
        "the same scores give the same fit",
        "build() makes a fresh network",
    }
    names = {check.name for checks in CHECKS.values() for check in checks}
    assert names - proved - elsewhere == set()


@pytest.mark.usefixtures("_in_a_folder_of_its_own")
def test_all_that_fails_is_in_one_error() -> None:
    class Both(Divides, Hoards):
        summary = Unstopped.summary

        def one(self, pixels: object) -> object:
            self.seen.append(pixels.copy())  # type: ignore[attr-defined]
            return super().one(pixels)

    with pytest.raises(AssertionError) as caught:
        check_stage(Both)
    text = str(caught.value)
    assert text.splitlines()[0].startswith("detector 'contrast' (tests.unit.testing.test_checks.test_all")
    assert text.count("✗") == 3
    assert text.count("    next: ") == 3
    assert "passed: it has what its kind needs; its options are documented; " in text


@pytest.mark.usefixtures("_in_a_folder_of_its_own")
def test_the_author_s_own_line_is_named() -> None:
    told = "\n".join(run_checks(Divides)["tiny and blank images are no exception"].found)
    assert "it raised ZeroDivisionError: division by zero   at tests/unit/testing/broken.py:" in told


@pytest.mark.usefixtures("_in_a_folder_of_its_own")
def test_tolerance() -> None:
    class Rounding(Contrast):
        def score(self, batch: object) -> object:
            return [float(pixels.std()) + 1e-6 * len(batch) for pixels in batch]  # type: ignore[arg-type,attr-defined]

    assert run_checks(Rounding)["a score does not depend on its neighbours"].state == "failed"
    check_stage(Rounding, tolerance=1e-4)


# Stages with weights: strict, recorded, free of pickles; and what happens without the weights.

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


# Files, pickles and calls of a block are seen; those of imports and of other threads are not.


def test_files_and_pickles_are_seen(tmp_path: Path) -> None:
    with watched() as seen:
        (tmp_path / "a").write_bytes(b"")
        pickle.loads(pickle.dumps(Path))
    assert seen.opened == [str(tmp_path / "a")]
    assert any(name.endswith(".Path") for name in seen.unpickled)


def test_hosts_are_seen() -> None:
    with watched() as seen, socket.socket() as one:
        one.settimeout(0.2)
        one.connect_ex(("127.0.0.1", 9))
    assert seen.called == ["('127.0.0.1', 9)"]


def test_imports_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d2f_reads_at_import.py").write_text("with open(__file__) as file:\n    TEXT = file.read()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with watched() as seen:
        import d2f_reads_at_import  # type: ignore[import-not-found]
    del sys.modules["d2f_reads_at_import"]
    assert d2f_reads_at_import.TEXT
    assert seen.opened == []


def test_other_threads_are_not(tmp_path: Path) -> None:
    with watched() as seen:
        thread = threading.Thread(target=(tmp_path / "a").write_bytes, args=(b"",))
        thread.start()
        thread.join()
    assert seen.opened == []


def test_nothing_after_the_block_and_outer_ones_go_on(tmp_path: Path) -> None:
    with watched() as outer:
        with watched() as inner:
            (tmp_path / "a").write_bytes(b"")
        (tmp_path / "b").write_bytes(b"")
    (tmp_path / "c").write_bytes(b"")
    assert [Path(path).name for path in inner.opened] == ["a"]
    assert [Path(path).name for path in outer.opened] == ["b"]


# Cost, listing, networks, round trips, the catalog for tests, and what pytest is burdened with.

distributions = pytest.fixture(installed)


class TestCost:
    def test_what_is_held_at_most_and_afterwards(self) -> None:
        kept: list[Any] = []
        most, after = check_common.allocated(lambda: np.ones(10**6, np.uint8).sum())
        assert 10**6 <= most < 1.1 * 10**6
        assert after < 10**4
        assert check_common.allocated(lambda: kept.append(np.ones(10**6, np.uint8)))[1] >= 10**6

    def test_a_stage_out_of_bounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check_common, "MOST_SECONDS", 0.0)
        monkeypatch.setattr(check_common, "MOST_BYTES", 0)
        slow, large = run_checks(Contrast)["an image's cost is bounded"].found
        assert slow.endswith("s an image of 512x512; bound 0 s")
        assert large.endswith("an image; bound 0 MB")


class TestListing:
    def check(self, source: str, distributions: Distributions) -> Any:
        distributions.add_plugin("soft", source)
        return run_checks(Catalog.discover().find("preprocessor", "soft"))["listing it loads no array library"]

    def test_light(self, distributions: Distributions) -> None:
        assert self.check(stage_module("soft"), distributions).state == "passed"

    def test_heavy(self, distributions: Distributions) -> None:
        result = self.check(stage_module("soft", "import numpy"), distributions)
        assert result.found == ("importing d2f_soft and calling its hooks loads numpy",)


class Rounded(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = Field(default=1.0, description="What the score is multiplied by.")

    @field_validator("scale")
    @classmethod
    def _half(cls, value: float) -> float:
        return value / 2


def test_options_that_change_on_the_way() -> None:
    class Shrinking(Contrast):
        Options = Rounded

    result = run_checks(Shrinking, {"scale": 8.0})["options survive a chain file"]
    assert result.found == ("{'scale': 4.0} reads back as {'scale': 2.0}",)


class TestCalibrators:
    def test_a_fit_that_keeps_something_to_itself(self) -> None:
        class Hidden(Line):
            Options = NoOptions
            found: Any = None

            def __init__(self, options: Any) -> None:
                super().__init__(options if options is Hidden.found else Line.Options())
                self.options = Hidden.made if options is Hidden.found else Line.Options()

            @classmethod
            def fit(cls, scores: Any, labels: Any, weights: Any) -> Any:
                cls.made = Line.fit(scores, labels, weights)
                cls.found = NoOptions()
                return cls.found

        assert run_checks(Hidden)["a fit survives a chain file"].state == "failed"

    def test_a_fit_at_random(self) -> None:
        class Random(Line):
            @classmethod
            def fit(cls, scores: Any, labels: Any, weights: Any) -> Any:
                found = super().fit(scores, labels, weights)
                return found.model_copy(update={"middle": found.middle + 1e-6 * np.random.rand()})

        assert run_checks(Random)["the same scores give the same fit"].found == ("a second fit differs",)


def test_members_of_scores_are_calibrated() -> None:
    probabilities, labels, weights = members_of_scores(3, 4000)
    for member in probabilities.T:
        there = ~np.isnan(member)
        for high in (False, True):
            held = there & ((member > 0.5) == high)
            share = np.average(labels[held], weights=weights[held])
            assert abs(np.average(member[held], weights=weights[held]) - share) < 0.03


class TestNetworks:
    def trainable(self, build: Callable[[Any], Any]) -> type:
        body = {
            "name": "net",
            "summary": "A network.",
            "Options": NoOptions,
            "__init__": lambda self, options: None,
            "build": build,
        }
        return type("Net", (), body)

    def test_sound(self) -> None:
        pytest.importorskip("mlx.core")
        import mlx.nn as nn

        class Mean(nn.Module):
            def __call__(self, x: Any) -> Any:
                return x.mean(axis=(1, 2))[:, :2]

        report = run_checks(self.trainable(lambda self: Mean()))
        assert report["build() makes a fresh network"].said == "logits (2, 2)"
        assert "features are finite, one row a picture" not in [result.check for result in report.results]

    def test_one_for_all(self) -> None:
        pytest.importorskip("mlx.core")
        import mlx.nn as nn

        one = nn.Linear(3, 2)
        result = run_checks(self.trainable(lambda self: one))["build() makes a fresh network"]
        assert result.found == ("it returned the same network twice",)


class TestCatalog:
    def test_built_in_stages_and_the_given(
        self, distributions: Distributions, d2f_catalog: Callable[..., Catalog]
    ) -> None:
        distributions.add_plugin("soft", stage_module("soft"))
        catalog = d2f_catalog(Contrast)
        assert catalog.find("detector", "contrast") is Contrast
        assert "wiener" in catalog.names("preprocessor")
        assert "soft" not in catalog.names("preprocessor")

    def test_a_taken_name(self, d2f_catalog: Callable[..., Catalog]) -> None:
        class Usurper(Contrast):
            name = "noise-statistics"

        with pytest.raises(D2FError, match="the name is taken"):
            d2f_catalog(Usurper)


class TestPytest:
    def test_the_fixtures_are_documented(self, d2f_images: Mapping[str, Any]) -> None:
        from d2f.testing import pictures

        assert d2f_images is pictures()

    def test_strangers_runs_are_left_alone(self, tmp_path: Path) -> None:
        """A run that asks for no fixture imports neither d2f nor an array library on d2f's account."""
        (tmp_path / "test_one.py").write_text(
            "import sys\n"
            "def test_one():\n"
            "    ours = [name for name in sys.modules if name.partition('.')[0].startswith('d2f')]\n"
            "    assert ours == ['d2f_pytest']\n"
            "    assert not {'numpy', 'mlx', 'pydantic', 'PIL'} & set(sys.modules)\n"
        )
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "."]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
