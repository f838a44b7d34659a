"""A chain's digest: the same however the file is written, another whenever results may differ."""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path

import pytest

from d2f.chain.chain import load_chain
from d2f.plugins.catalog import Catalog, code_digest
from tests.unit.chain import stages

SMALL = """\
d2f: 1
name: small
views:
  a: [{use: wiener, with: {window: 7}}]
  b: [{use: jpeg, with: {quality: 90}}]
detectors:
  - {id: n, use: noise-statistics, views: [plain, a]}
  - {use: resnet, views: [b]}
calibrate:
  n/plain: {use: platt, with: {slope: 2, bias: 0.5}}
  n/a: {use: platt, with: {slope: -1, bias: 0}}
  resnet/b: {use: platt, with: {slope: 1, bias: 0}}
combine:
  use: logistic
  with:
    weights: {n/plain: 1, n/a: 0.5, resnet/b: 2}
  need: 2
  calibrate: {use: platt, with: {slope: 1, bias: 0}}
verdict: {prior: 0.5, real_below: 0.3, generated_above: 0.7}
"""


def digest(text: str, folder: Path, catalog: Catalog | None = None) -> str:
    (folder / "chain.yaml").write_text(text, "utf-8")
    return load_chain(folder / "chain.yaml", catalog=catalog or stages.catalog()).digest


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


def test_what_is_hashed(tmp_path: Path) -> None:
    code = {"code": code_digest(stages.Platt), "version": None}

    def platt(slope: float, bias: float) -> object:
        return {"use": "platt", "with": {"slope": slope, "bias": bias}} | code

    document = {
        "d2f": 1,
        "views": {
            "a": [{"use": "wiener", "with": {"window": 7, "noise": None}} | code],
            "b": [{"use": "jpeg", "with": {"quality": 90, "subsampling": "4:2:0"}} | code],
        },
        "require": [],
        "evidence": [],
        "detectors": [
            {
                "id": "n",
                "views": ["plain", "a"],
                "use": "noise-statistics",
                "with": {"weights": "default", "scale": 1},
                "weights": [stages.SHA],
            }
            | code,
            {"id": "resnet", "views": ["b"], "use": "resnet", "with": {}} | code,
        ],
        "calibrate": {"n/plain": platt(2, 0.5), "n/a": platt(-1, 0), "resnet/b": platt(1, 0)},
        "combine": {
            "use": "logistic",
            "with": {"weights": {"n/plain": 1, "n/a": 0.5, "resnet/b": 2}, "bias": 0},
            "need": 2,
            "calibrate": platt(1, 0),
        }
        | code,
        "verdict": {"prior": 0.5, "real_below": 0.3, "generated_above": 0.7},
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert digest(SMALL, tmp_path) == hashlib.sha256(text.encode()).hexdigest()


PLUGIN = """\
from tests.unit.chain import stages


class Signed(stages.NoiseStatistics):
    name = "signed"

    def score(self, batch):
        return [+float(view.mean()) for view in batch]
"""


def test_a_detector_whose_sign_is_flipped_is_another_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    digests = []
    for code in (PLUGIN, PLUGIN, PLUGIN.replace("+float", "-float")):
        name = f"signed_plugin_{len(digests)}"
        # One file name each: the digest is of what the package's files hold, under their names in it.
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code, "utf-8")
        catalog = Catalog.of(*stages.STAGES, importlib.import_module(name).Signed)
        digests.append(digest("d2f: 1\nname: s\ndetectors: [{use: signed}]\n", tmp_path, catalog))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: small", "name: other\ndescription: x\nimages: [y]"),
        ("d2f: 1\n", "# comment\nd2f: 0x1   # one\n"),
        ("{slope: 2, bias: 0.5}", "{bias: 5.0e-1, slope: 2.0}"),
        ("{slope: -1, bias: 0}", "{slope: -1.0, bias: -0.0}"),
        ("window: 7", 'window: 7, "noise": ~'),
        ("detectors:\n", "  c: [{use: wiener}]\ndetectors:\n"),
        ("weights: {n/plain: 1, n/a: 0.5, resnet/b: 2}", "bias: 0\n    weights: {resnet/b: 2, n/a: .5, n/plain: 1}"),
        ("{use: resnet, views: [b]}", "{id: resnet, use: resnet, views: [b], with: {}}"),
        ("real_below: 0.3", "real_below: 0.30, false_positive_rate: 0.01, miss_rate: 0.2"),
        ("verdict:", "fitted: {data: x, images: 7, date: 2026-11-21, d2f: 0.1.0}\nverdict:"),
    ],
)  # fmt: skip
def test_ways_of_writing_do_not_enter(tmp_path: Path, old: str, new: str) -> None:
    assert digest(changed(old, new), tmp_path) == digest(SMALL, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("window: 7", "window: 5"),
        ("window: 7", "window: 7, noise: 0"),
        ("quality: 90", "quality: 91"),
        ("[plain, a]", "[a, plain]"),
        ("use: noise-statistics,", "use: noise-statistics, with: {scale: 1.0000001},"),
        ("use: noise-statistics,", "use: noise-statistics, with: {weights: other},"),
        ("slope: 2,", "slope: 2.000001,"),
        ("n/a: 0.5", "n/a: 0.6"),
        ("need: 2", "need: 1"),
        ("  calibrate: {use: platt, with: {slope: 1, bias: 0}}\n", ""),
        ("prior: 0.5", "prior: 0.4"),
        ("real_below: 0.3", "real_below: 0.31"),
        ("generated_above: 0.7", "generated_above: 0.71"),
        ("  resnet/b: {use: platt, with: {slope: 1, bias: 0}}\n", ""),
    ],
)
def test_what_results_depend_on_enters(tmp_path: Path, old: str, new: str) -> None:
    assert digest(changed(old, new), tmp_path) != digest(SMALL, tmp_path)


def test_the_order_of_detectors_enters(tmp_path: Path) -> None:
    first, second = (line for line in SMALL.splitlines() if line.startswith("  - {"))
    swapped = SMALL.replace(first, "X").replace(second, first).replace("X", second)
    assert digest(swapped, tmp_path) != digest(SMALL, tmp_path)


def test_the_names_of_members_enter(tmp_path: Path) -> None:
    renamed = SMALL.replace("[plain, a]", "[plain, aa]").replace("n/a:", "n/aa:").replace("  a: [", "  aa: [")
    assert digest(renamed, tmp_path) != digest(SMALL, tmp_path)


def test_weights_files_enter(tmp_path: Path) -> None:
    class Retrained(stages.NoiseStatistics):
        sha256 = stages.OTHER

    retrained = Catalog.of(*(Retrained if one is stages.NoiseStatistics else one for one in stages.STAGES))
    assert digest(SMALL, tmp_path, retrained) != digest(SMALL, tmp_path)
