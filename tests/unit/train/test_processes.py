"""Two processes of `mlx.launch` reach the loss of one on the same global batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from d2f.train.folder import read_log
from d2f.weights import read_weights
from tests.unit.train.network_toys import recipe, trained, write_pictures

ROOT = Path(__file__).resolve().parents[3]
WANTED = recipe(epochs=2, augment=[{"use": "flip", "probability": 0.5}], optimiser={"use": "adam", "rate": 0.02})
CHILD = """
import sys
from pathlib import Path
from tests.unit.train.test_processes import WANTED
from tests.unit.train.network_toys import trained

trained(Path(sys.argv[1]), "two", WANTED)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the ring of the Linux wheel")
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set")
    trained(tmp_path, "one", WANTED)
    (tmp_path / "child.py").write_text(CHILD)
    launch = Path(sys.executable).with_name("mlx.launch")
    done = subprocess.run(
        [launch, "-n", "2", "--python", sys.executable, tmp_path / "child.py", tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    logs = [tmp_path / f"{name}.run" / "log.jsonl" for name in ("one", "two")]
    assert read_log(logs[1], "start")[0]["processes"] == 2
    assert read_log(logs[1], "start")[0]["update"] == {"tiles": 8, "batch": 4, "batches": 1}
    losses = [[line["loss"] for line in read_log(log, "epoch")] for log in logs]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    one, two = (read_weights(tmp_path / f"{name}.safetensors").arrays for name in ("one", "two"))
    for name in one:
        assert two[name] == pytest.approx(one[name], abs=1e-4)
