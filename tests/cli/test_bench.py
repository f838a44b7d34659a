from __future__ import annotations

import pytest

from tests.cli.test_chain_fit import PLUGIN
from tests.unit.fitting.toys import write_set

CHAIN = """\
d2f: 1
name: toy
detectors: [{id: noise, use: noise-level}]
calibrate: {noise/plain: {use: platt, with: {slope: -0.7, bias: 5.0}}}
"""


@pytest.fixture
def place(distributions, tmp_path):
    distributions.add_plugin("toy", PLUGIN)
    write_set(tmp_path / "set", 24, collections=6)
    (tmp_path / "toy.yaml").write_text(CHAIN, "utf-8")
    return tmp_path


def bench(distributions, place, *more):
    return distributions.run("bench", str(place / "toy.yaml"), "--data", str(place / "set"), *more)


def test_bench_prints_figures_with_intervals(distributions, place):
    done = bench(distributions, place, "--protocol", "as-is", "--attack", "noise:2", "--limit", "40")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("chain toy, digest ")
    assert lines[1].startswith("40 images: 20 real, 20 generated, 6 components")
    assert any(line.startswith("AUC ") and "[" in line for line in lines)
    assert any(line.startswith("noise:sigma=2") for line in lines)


def test_a_damaged_file_is_told_and_ends_in_1(distributions, place):
    (place / "set/real/hands0/0.png").write_bytes(b"")
    done = bench(distributions, place)
    assert done.returncode == 1
    assert "1 images could not be read" in done.stdout


def test_several_chains_follow_each_other(distributions, place):
    (place / "other.yaml").write_text(CHAIN.replace("name: toy", "name: other"), "utf-8")
    done = bench(distributions, place, str(place / "other.yaml"))
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("chain ")] == ["toy,", "other,"]
