"""`d2f doctor`: what it prints in processes of its own, and what it makes of a machine."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import features

from d2f import Weights
from d2f.cores import usable_cores
from d2f.doctor import Finding, backends, formats, machine, plugins, report_lines, weights_present
from d2f.plugins.catalog import Catalog
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


# What the doctor makes of a machine: two backends, a missing file, a broken plugin, formats left out.


def by_name(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.mark.parametrize(
    ("installed", "value", "state"),
    [
        (["mlx", "mlx-cpu", "mlx-data"], "mlx-cpu", "fine"),
        (["mlx", "mlx-cuda-12"], "mlx-cuda-12", "fine"),
        (["mlx", "mlx-metal"], "MLX's own wheel", "fine"),
        (["mlx-cuda-12", "mlx", "mlx-cpu"], "mlx-cpu and mlx-cuda-12 install the same library file", "error"),
    ],
)
def test_backends(installed: list[str], value: str, state: str) -> None:
    found = backends(installed)
    assert (found.value, found.state) == (value, state)
    assert found.remedy.startswith("pip uninstall mlx-cpu mlx-cuda-12") is (state == "error")


def test_the_machine() -> None:
    found = by_name(list(machine()))
    assert found["cores"].value.startswith(f"{usable_cores()} usable of ")
    assert {"d2f", "python", "system"} <= set(found)


def test_a_format_that_pillow_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda feature: feature != "avif")
    found = by_name(list(formats()))
    assert found["formats"] == Finding("images", "formats", "without AVIF", "warning", "pip install --upgrade pillow")


def test_weights_that_are_here_not_fetched_or_missing(tmp_path: Path) -> None:
    here = tmp_path / "here.safetensors"
    here.write_bytes(b"arrays")
    digest = hashlib.sha256(b"arrays").hexdigest()
    records = [
        Weights("a/here", digest, "MIT", (str(here),)),
        Weights("b/remote", "1" * 64, "MIT", ("https://example.org/w.safetensors",)),
        Weights("c/lost", "2" * 64, "MIT", ("package:d2f/none.safetensors",)),
        Weights("d/damaged", "3" * 64, "MIT", (str(here),)),
    ]
    found = by_name(list(weights_present(Catalog.of(weights=records))))
    assert found["a/here"].value == f"here, sha256 {digest[:12]}…"
    assert (found["b/remote"].state, found["b/remote"].remedy) == ("fine", "d2f weights pull b/remote")
    assert (found["c/lost"].state, found["c/lost"].value) == ("error", "missing")
    assert (found["d/damaged"].state, found["d/damaged"].value) == (
        "error",
        "damaged: its sha256 is not the pinned one",
    )


def test_a_wrong_product_is_an_error() -> None:
    from d2f.doctor import speed

    assert [finding.state for finding in speed() if finding.name == "convolution"] == ["fine"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("d2f.doctor.TOLERANCE", 0.0)
        found = list(speed())
    assert [finding.state for finding in found] == ["error", "error"]
    assert all(finding.value.startswith("WRONG, at ") for finding in found)


def test_speed_is_operations_by_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    from d2f.doctor import speed

    monkeypatch.setattr("d2f.doctor._median_seconds", lambda work: 0.001)
    product, convolution = speed()
    # Two operations a multiplication: 2 * 1024**3, and 2 * 9 * 64 * 64 for each of 4 * 56 * 56 places.
    assert product.value == "2147 GFLOP/s (1024 x 1024, float32)"
    assert convolution.value == "925 GFLOP/s (3x3, 64 channels, 56 x 56)"


def test_no_plugin_at_all() -> None:
    assert list(plugins(Catalog.of())) == [Finding("plugins", "stages", "none")]


def test_the_report_marks_and_counts() -> None:
    findings = [
        Finding("machine", "d2f", "0.1.0"),
        Finding("mlx", "product", "3 GFLOP/s", "warning", "see BLAS above"),
        Finding("mlx", "backend", "two", "error"),
    ]
    assert report_lines(findings) == [
        "machine",
        "  d2f      0.1.0",
        "",
        "mlx",
        "! product  3 GFLOP/s",
        "           = see BLAS above",
        "x backend  two",
        "",
        "1 error, 1 warning",
    ]
    assert report_lines(findings[:1])[-1] == "no problem found"
