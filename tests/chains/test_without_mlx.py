"""The shipped chains `robust` and `fast`: whole, fitted, and without MLX."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from d2f import load_chain

NAMES = ("robust", "fast")
each = pytest.mark.parametrize("name", NAMES)

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "images"


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)


@each
def test_it_is_fitted_and_every_member_calibrated(name: str) -> None:
    chain = load_chain(name)
    assert chain.warnings == ()
    assert set(chain.file.calibrate) == set(chain.plan.member_names)
    assert chain.file.combine.use == "logistic"
    assert chain.file.fitted is not None
    assert chain.file.fitted.protocol == "whole"
    assert len(chain.file.fitted.attacks) >= 4


@each
def test_it_was_fitted_with_the_weights_that_ship(name: str) -> None:
    chain = load_chain(name)
    shipped = {record.name: record.sha256 for detector in chain.plan.detectors for record in detector.stage.weights}
    assert chain.file.fitted.weights == shipped


@each
def test_it_runs_where_mlx_is_not_installed(name: str) -> None:
    code = """
import sys
for name in ("mlx", "mlx.core", "mlx.nn", "sklearn", "torch"):
    sys.modules[name] = None  # importing it raises ImportError
from d2f.cli.main import main
sys.exit(main(["chain", "run", sys.argv[1], sys.argv[2], "--format", "jsonl"]))
"""
    done = run(code, name, str(PICTURES))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(list(PICTURES.iterdir()))
    assert done.returncode == 0, done.stderr
    scored = [row for row in rows if row["probability"] is not None]
    assert scored
    assert all(row["verdict"] in ("generated", "real", "inconclusive") for row in rows)
    assert all(
        abs(member["contribution"]) < 20 for row in scored for member in row["stages"] if member["score"] is not None
    )


@each
def test_it_does_not_import_mlx(name: str) -> None:
    code = """
import sys, d2f
list(d2f.load_chain(sys.argv[1]).run([sys.argv[2]]))
print([name for name in sys.modules if name.partition(".")[0] in ("mlx", "sklearn", "torch")])
"""
    done = run(code, name, str(PICTURES))
    assert done.stdout.strip() == "[]", done.stderr
