"""Cost, listing, networks, round trips, the catalog for tests, and what pytest is burdened with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from d2f import D2FError
from d2f.plugins.catalog import Catalog
from d2f.testing import check_common, run_checks
from d2f.testing.scores import members_of_scores
from tests.distributions import Distributions, installed, stage_module
from tests.unit.testing.stages import Contrast, Line, NoOptions

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
