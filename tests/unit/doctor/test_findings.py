"""What the doctor makes of a machine: two backends, a missing file, a broken plugin, formats left out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import features

from d2f import Weights
from d2f.cores import usable_cores
from d2f.doctor import Finding, backends, formats, machine, plugins, report_lines, weights_present
from d2f.plugins.catalog import Catalog


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
