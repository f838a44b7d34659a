"""`d2f doctor` in processes of its own: what it prints, what two backends and a broken plugin do to it."""

from __future__ import annotations

import json
import re
import sys

import pytest

from tests.distributions import Distributions

MASKS = (
    (r"d2f( +)\d\S+", r"d2f\1VERSION"),
    (r"(python +).*", r"\1PYTHON"),
    (r"(system +).*", r"\1SYSTEM"),
    (r"(cores +).*", r"\1CORES"),
    (r"(compiler +).*", r"\1COMPILER"),
    (r"(mlx  +)\d.*", r"\1VERSION"),
    (r"(mlx-data  +).*", r"\1VERSION"),
    (r"\d+ stream\(s\)", "N stream(s)"),
    (r"OpenBLAS [^:]+: .*", "OPENBLAS"),
    (r"(Pillow +|pillow-heif )\S+", r"\1VERSION"),
    (r"\d+ (detector|preprocessor|precondition|evidence reader|calibrator|combiner|trainable)s", r"N \1s"),
    (r"sha256 [0-9a-f]{12}…", "sha256 DIGEST"),
)

# Without its spaces and line ends: the width of the column follows the longest name of any weights.
REPORT = """
machine
  d2f VERSION
  python PYTHON
  system SYSTEM
  cores CORES
  compiler COMPILER
mlx
  backend mlx-cpu
  mlx VERSION
  BLAS OPENBLAS
  allocator glibc keeps what is freed
  layers d2f's for a CPU; N stream(s), one BLAS thread each
  mlx-data VERSION
images
  Pillow VERSION
  formats JPEG, WebP, AVIF, TIFF, ICC profiles
  HEIC pillow-heif VERSION
plugins
  stages N detectors, N preprocessors, N preconditions, 1 evidence reader, N calibrators, N combiners, N trainables
"""

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the BLAS is taken up on Linux only")


def masked(text: str) -> str:
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text)
    return text


@LINUX
def test_the_whole_report(distributions: Distributions) -> None:
    done = distributions.run("doctor", "--no-speed")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    report = masked(done.stdout)
    before, weights = report.split("\nweights\n")
    assert " ".join(before.split()) == " ".join(REPORT.split())
    assert re.search(r"noise-statistics/default +here, sha256 DIGEST", weights)
    assert weights.endswith("\nno problem found\n")


@LINUX
def test_speed_is_measured_and_a_bare_wheel_is_told_of(distributions: Distributions) -> None:
    done = distributions.run("doctor", "--json", D2F_BLAS="off")
    found = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert found["BLAS"]["value"] == "MLX's own: D2F_BLAS=off"
    for name in ("product", "convolution"):
        figure = re.match(r"(\d+) GFLOP/s", found[name]["value"])
        assert figure is not None
        assert int(figure[1]) > 0
    assert done.returncode == 0


def test_two_backends_are_an_error(distributions: Distributions) -> None:
    distributions.add("mlx-cuda-12", {}, {})
    distributions.add("mlx-cpu", {}, {})
    done = distributions.run("doctor", "--no-speed")
    assert done.returncode == 3
    assert "x backend" in done.stdout
    assert "mlx-cpu and mlx-cuda-12 install the same library file" in done.stdout
    assert "= pip uninstall mlx-cpu mlx-cuda-12, then pip install the one that is wanted" in done.stdout
    assert done.stdout.rstrip().endswith("1 error")


def test_a_broken_plugin_is_told_and_costs_nothing(distributions: Distributions) -> None:
    distributions.add_plugin("torn", "import no_such_module")
    done = distributions.run("doctor", "--no-speed")
    assert done.returncode == 0
    assert "! problem" in done.stdout
    assert "D2F201: plugin 'torn' failed to load" in done.stdout
    assert "= to see the traceback: d2f plugin check torn" in done.stdout
    assert done.stderr == ""
