"""A new plugin: its name, and what the templates make: whole, in the house's style, and never over anything there."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from packaging.specifiers import SpecifierSet

from d2f import API_VERSION, D2FError, NoOptions, __version__
from d2f.plugins.catalog import Catalog
from d2f.scaffold.new import SCAFFOLDS, Names, new_plugin, read_name
from d2f.testing import write_labelled_set
from d2f.weights import read_weights, short_digests
from tests.distributions import Distributions, installed, stage_module
from tests.docs.pages import ROOT

# A new plugin's name: its four spellings, its shape, and whether it is free.

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


# The templates.

VARIANTS = [*((kind, False) for kind in SCAFFOLDS), ("detector", True)]
PLAIN = {".github/workflows/test.yml", ".gitignore", "README.md", "pyproject.toml"}


@pytest.fixture(params=VARIANTS, ids=[f"{kind}{'-learned' * learned}" for kind, learned in VARIANTS])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of a new plugin `grain-2` of each variety."""
    return new_plugin(Names("grain-2"), *request.param, tmp_path)[0]


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors")
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in files}


def test_every_file_is_there(made: Path) -> None:
    found = texts(made).keys()
    assert found > PLAIN | {"grain-2.yaml", "tests/test_grain_2.py"}
    assert ("d2f_grain_2.py" in found) != ("d2f_grain_2/__init__.py" in found)


def test_no_placeholder_is_left(made: Path) -> None:
    for path, text in texts(made).items():
        assert not re.search("my.stage|MyStage", text, re.IGNORECASE), path
        assert text.endswith("\n"), path


def test_the_entry_point_leads_to_the_module(made: Path) -> None:
    project = tomllib.loads((made / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["name"] == "d2f-grain-2"
    assert project["project"]["entry-points"]["d2f"] == {"grain-2": "d2f_grain_2"}
    (d2f,) = [one for one in project["project"]["dependencies"] if one.startswith("d2f")]
    assert SpecifierSet(d2f.removeprefix("d2f")).contains(__version__, prereleases=True)


def test_the_api_it_states_is_ours(made: Path) -> None:
    (stated,) = re.findall(r'^d2f_api = "(.*)"$', "\n".join(texts(made).values()), re.MULTILINE)
    assert SpecifierSet(stated).contains(API_VERSION)


def test_it_is_in_the_house_s_style(made: Path, tmp_path: Path) -> None:
    config = (ROOT / "pyproject.toml").read_text("utf-8")
    rules = re.findall(r"^\[tool\.(ruff[^\]]*)\]\n(.*?)(?=^\[|\Z)", config, re.DOTALL | re.MULTILINE)
    toml = [f"[{name.removeprefix('ruff').removeprefix('.')}]\n{body}" for name, body in rules]
    (made / "ruff.toml").write_text("".join(toml).replace("[]\n", ""), "utf-8")
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."], cwd=made, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_hooks_and_imports_are_light(made: Path) -> None:
    """Nothing heavy is imported at the top of the module."""
    (module,) = [text for path, text in texts(made).items() if re.fullmatch(r"d2f_grain_2(/__init__)?\.py", path)]
    top = [node for node in ast.parse(module).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    assert names - {"re"} == {"d2f"}


def test_nothing_that_is_there_is_touched(tmp_path: Path) -> None:
    folder = tmp_path / "d2f-grain"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(D2FError) as caught:
        new_plugin(Names("grain"), "detector", False, tmp_path)
    assert str(caught.value) == (
        f"error[D2F004]: '{folder}' already exists\n   = nothing was written; --into DIR names another place"
    )
    assert texts(folder) == {"mine.txt": "mine"}
    (tmp_path / "d2f-file").write_text("", "utf-8")
    with pytest.raises(D2FError, match="already exists"):
        new_plugin(Names("file"), "detector", False, tmp_path)


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "d2f-grain").mkdir()
    _, files = new_plugin(Names("grain"), "detector", False, tmp_path)
    assert "d2f_grain.py" in files


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(D2FError, match=r"cannot be written: Not a directory"):
        new_plugin(Names("grain"), "detector", False, tmp_path / "file")


@pytest.mark.parametrize("kind", ["preprocessor", "evidence", "calibrator"])
def test_only_detectors_are_learned(kind: str, tmp_path: Path) -> None:
    with pytest.raises(D2FError, match=f"--learned is for detectors, not for a {kind}"):
        new_plugin(Names("grain"), kind, True, tmp_path)
    assert list(tmp_path.iterdir()) == []


class TestLearned:
    def test_the_weights_are_the_pinned_ones(self, tmp_path: Path) -> None:
        folder, _ = new_plugin(Names("grain"), "detector", True, tmp_path)
        data = (folder / "d2f_grain" / "default.safetensors").read_bytes()
        assert f'sha256="{hashlib.sha256(data).hexdigest()}"' in texts(folder)["d2f_grain/__init__.py"]

    def test_the_recipe_is_read_and_the_weights_are_its_network_s(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from d2f.models import arrays_of
        from d2f.testing import catalog_of
        from d2f.train.read import read_recipe

        folder, _ = new_plugin(Names("grain"), "detector", True, tmp_path)
        monkeypatch.syspath_prepend(str(folder))
        import d2f_grain  # type: ignore[import-not-found]

        recipe = read_recipe(folder / "recipe.yaml", catalog_of(d2f_grain.GrainTrainable))
        fresh = arrays_of(d2f_grain.GrainTrainable(NoOptions()).build())
        held = read_weights(folder / "d2f_grain" / "default.safetensors")
        assert {name: array.shape for name, array in held.arrays.items()} == {
            name: array.shape for name, array in fresh.items()
        }
        assert recipe.tiles.size == d2f_grain.TILE == int(held.metadata["tile"])
        for name in ("d2f_grain", "d2f_grain.network"):
            sys.modules.pop(name)

    def test_the_set_to_try_out_is_another_one(self, tmp_path: Path) -> None:
        """The pictures of `labelled-set` without a seed did not train the weights, so a chain may be fitted to them."""
        folder, _ = new_plugin(Names("grain"), "detector", True, tmp_path)
        trained_on = read_weights(folder / "d2f_grain" / "default.safetensors").trained_on
        assert trained_on is not None
        pictures = write_labelled_set(tmp_path / "pictures", 4)
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures.rglob("*.jpg")]
        assert not np.isin(short_digests(digests), trained_on).any()


def test_chains_and_recipes_are_read(tmp_path: Path) -> None:
    """Each chain is complete but for the stage, which is not installed."""
    from d2f.chain.chain import load_chain

    for kind, learned in VARIANTS:
        folder, _ = new_plugin(Names("grain"), kind, learned, tmp_path / f"{kind}{learned}")
        with pytest.raises(D2FError) as caught:
            load_chain(folder / "grain.yaml", catalog=Catalog.of())
        assert {problem.code for problem in caught.value.problems} <= {
            f"D2F{number}" for number in (*range(110, 114), 115, 116)
        }
