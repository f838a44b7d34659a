from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from d2f import D2FError, Exit, Weights, WeightsMissing
from d2f.weights import as_record, cache_folder, read_weights, resolve, strict, write_weights

DEFAULT = Weights("soft/default", "0" * 64, "MIT", ("package:soft/default.safetensors",))
ROBUST = Weights("soft/robust", "1" * 64, "MIT", ("https://example.org/robust.npz",))
SINGLE = Weights("tower", "2" * 64, "MIT", ())
RECORDS = (DEFAULT, ROBUST, SINGLE)


class TestResolve:
    @pytest.mark.parametrize(
        ("option", "found"),
        [
            ("default", DEFAULT),
            ("robust", ROBUST),
            ("soft/robust", ROBUST),
            ("tower", SINGLE),
        ],
    )
    def test_names(self, option: str, found: Weights) -> None:
        assert resolve(option, RECORDS) == found

    @pytest.mark.parametrize("option", ["mine.safetensors", "mine.npz", "./robust", "~/a.npz"])
    def test_paths(self, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(WeightsMissing, match="there is no weights file"):
            resolve(option, RECORDS)
        file = tmp_path / Path(option).name
        file.write_bytes(b"content")
        found = resolve(option, RECORDS)
        assert found.sha256 == hashlib.sha256(b"content").hexdigest()
        assert Path(found.sources[0]).samefile(file)

    @pytest.mark.parametrize(
        ("option", "note"),
        [("robst", "did you mean 'robust'?"), ("zzz", "known: default, robust, tower, or a path")],
    )
    def test_unknown(self, option: str, note: str) -> None:
        with pytest.raises(D2FError) as caught:
            resolve(option, RECORDS)
        assert str(caught.value) == f"error[D2F501]: unknown weights '{option}'\n   = {note}"
        assert caught.value.exit == Exit.USAGE

    def test_a_path_s_digest_is_computed_on_demand(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.safetensors"
        sha256 = write_weights(path, {"a": np.zeros(2)})
        made = as_record(path)
        assert (made.name, made.sha256) == (str(path), sha256)
        assert read_weights(made).sha256 == sha256
        assert as_record(DEFAULT) is DEFAULT
        with pytest.raises(WeightsMissing):
            as_record(tmp_path / "other.npz")


class TestSources:
    def test_inside_a_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package = tmp_path / "package_with_weights"
        (package / "sets").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        sha256 = write_weights(package / "sets" / "a.safetensors", {"a": np.ones(2)})
        monkeypatch.syspath_prepend(str(tmp_path))
        record = Weights("soft/a", sha256, "MIT", ("package:package_with_weights/sets/a.safetensors",))
        assert read_weights(record).arrays["a"].tolist() == [1.0, 1.0]
        (package / "sets" / "a.safetensors").unlink()
        with pytest.raises(WeightsMissing) as caught:
            read_weights(record)
        assert str(caught.value) == "\n".join(
            [
                "error[D2F502]: weights 'soft/a' are not on this machine",
                "   = looked for package:package_with_weights/sets/a.safetensors",
                "   = the installation of package_with_weights is damaged: install it again",
            ]
        )
        del sys.modules["package_with_weights"]

    def test_the_distribution_of_a_missing_package_file_is_named(self) -> None:
        record = Weights("soft/a", "0" * 64, "MIT", ("package:pydantic/no-such-file.npz",))
        with pytest.raises(WeightsMissing, match="the installation of pydantic is damaged"):
            read_weights(record)

    def test_a_package_that_is_not_there(self) -> None:
        with pytest.raises(WeightsMissing):
            read_weights(DEFAULT)

    @pytest.mark.parametrize("source", ["https://example.org/a.npz", "hf://o/r/f@1", "pypi:a==1/b.npz"])
    def test_what_can_be_fetched_names_the_command(
        self, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("D2F_CACHE", str(tmp_path))
        with pytest.raises(WeightsMissing) as caught:
            read_weights(Weights("soft/robust", "1" * 64, "MIT", (source,)))
        assert str(caught.value) == "\n".join(
            [
                "error[D2F502]: weights 'soft/robust' are not on this machine",
                "   = to fetch them: d2f weights pull soft/robust",
            ]
        )

    @pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
    def test_what_was_fetched_lies_in_the_cache(
        self, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("D2F_CACHE", str(tmp_path))
        file = tmp_path / f"a{suffix}"
        if suffix == ".npz":
            np.savez(file, a=np.ones(3))
        else:
            write_weights(file, {"a": np.ones(3)})
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        (tmp_path / "weights").mkdir()
        file.rename(tmp_path / "weights" / f"{sha256}{suffix}")
        record = Weights("soft/robust", sha256, "MIT", ("package:nowhere/x", "https://example.org/a"))
        assert read_weights(record).arrays["a"].tolist() == [1.0, 1.0, 1.0]


class TestCacheFolder:
    def test_chosen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("D2F_CACHE", "~/somewhere")
        assert cache_folder() == Path.home() / "somewhere"

    @pytest.mark.parametrize(
        ("platform", "base", "folder"),
        [
            ("linux", None, Path.home() / ".cache" / "d2f"),
            ("linux", "/var/cache/me", Path("/var/cache/me/d2f")),
            ("darwin", "/var/cache/me", Path.home() / "Library" / "Caches" / "d2f"),
        ],
    )
    def test_the_platform_s_own(
        self, platform: str, base: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("D2F_CACHE", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(sys, "platform", platform)
        if base is not None:
            monkeypatch.setenv("XDG_CACHE_HOME", base)
        assert cache_folder() == folder


class TestStrict:
    def test_exactly_those(self) -> None:
        strict({"a": np.zeros((2, 5)), "b": np.zeros(())}, {"a": (2, None), "b": ()})

    def test_lists_everything_that_differs(self) -> None:
        arrays = {"a": np.zeros((2, 5)), "b": np.zeros(3), "c": np.zeros(())}
        with pytest.raises(D2FError) as caught:
            strict(arrays, {"a": (None, 4), "b": (3, 1), "d": (7,), "e": ()}, "soft/default")
        assert str(caught.value) == "\n".join(
            [
                "error[D2F504]: weights 'soft/default' do not fit the model",
                "   = missing: d (7)",
                "   = missing: e ()",
                "   = unknown: c ()",
                "   = shape of a: (2, 5), not (any, 4)",
                "   = shape of b: (3), not (3, 1)",
            ]
        )
        assert caught.value.exit == Exit.PLUGIN
