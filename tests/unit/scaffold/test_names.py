"""A new plugin's name: its four spellings, its shape, and whether it is free."""

from __future__ import annotations

import pytest

from d2f import D2FError, __version__
from d2f.plugins.catalog import Catalog
from d2f.scaffold import Names, read_name
from tests.distributions import Distributions, installed, stage_module

distributions = pytest.fixture(installed)


def refused(name: str) -> str:
    with pytest.raises(D2FError) as caught:
        read_name(name, Catalog.discover())
    return str(caught.value)


def test_spellings() -> None:
    names = read_name("noise-level-2", Catalog.discover())
    assert names == Names("noise-level-2")
    assert names.distribution == "d2f-noise-level-2"
    assert names.module == "d2f_noise_level_2"
    assert names.stage_class == "NoiseLevel2"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Noise", "noise"),
        ("NoiseLevel", "noise-level"),
        ("X1", "x1"),
        ("noise_level", "noise-level"),
        ("noise--level", "noise-level"),
        ("d2f-noise-level", "noise-level"),
        ("my detector!", "my-detector"),
        ("../evil", "evil"),
        ("a" * 41, "a" * 40),
    ],
)
def test_near_misses(name: str, near: str) -> None:
    text = refused(name)
    assert text.startswith(f"error[D2F211]: '{name}' cannot be a plugin's name\n   = did you mean '{near}'?\n")
    assert text.endswith("a name is lower-case letters, digits and hyphens, a letter first, at most 40: noise-level")


@pytest.mark.parametrize("name", ["", "3d", "3d scan", "-", "é"])
def test_hopeless(name: str) -> None:
    assert "did you mean" not in refused(name)


class TestTaken:
    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("wiener", "there is a preprocessor 'wiener' (d2f"),
            ("noise-statistics", "there is a detector 'noise-statistics' (d2f"),
            ("logit-mean", "there is a combiner 'logit-mean' (d2f"),
            ("combiners", "there is a plugin 'combiners' (d2f"),
        ],
    )
    def test_by_built_in_ones(self, name: str, what: str) -> None:
        assert refused(name) == (
            f"error[D2F211]: the name '{name}' is taken: {what} {__version__})\n   = choose another name"
        )

    def test_by_a_stranger_s_stage_and_distribution(self, distributions: Distributions) -> None:
        distributions.add("loud-things", {"loud.py": stage_module("soft")}, {"loud": "loud"})
        distributions.add("d2f-quiet", {"other.py": ""}, {"hush": "other"})
        assert "is taken: there is a preprocessor 'soft' (loud-things 1.2)" in refused("soft")
        assert "is taken: there is a plugin 'loud' (loud-things 1.2)" in refused("loud")
        assert "is taken: there is a plugin 'hush' (d2f-quiet 1.2)" in refused("quiet")

    def test_by_a_module(self) -> None:
        assert "is taken: there is a module d2f_chains (d2f)" in refused("chains")
