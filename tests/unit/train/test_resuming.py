"""Runs that are killed, find the disk full or share their work end with the numbers of one that did not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from d2f.api.errors import D2FError
from d2f.train.folder import read_log
from d2f.train.run import SilentWatcher
from d2f.weights import read_weights
from tests.full_disk import fill, make_room
from tests.unit.train.network_toys import recipe, trained, write_pictures
from tests.unit.train.test_network import lines

# A run that was killed and goes on ends with the numbers of one that was not.


ROOT = Path(__file__).resolve().parents[3]


WANTED = recipe(
    epochs=6,
    checkpoint=1,
    augment=[{"use": "flip", "probability": 0.5}, {"use": "cut-out", "probability": 0.5}],
    schedule={"use": "plateau", "patience": 1, "warm_up": 3},
    optimiser={"use": "adam", "rate": 0.02},
    **{"with": {"norm": True, "drop": 0.2}},
)


CHILD = """
import sys, time
from pathlib import Path
from tests.unit.train.test_resuming import WANTED
from tests.unit.train.network_toys import trained
from d2f.train.run import SilentWatcher

class Slow(SilentWatcher):
    def step(self, epoch, done, total, loss, rate):
        print(epoch, done, flush=True)
        time.sleep(0.05)

trained(Path(sys.argv[1]), "killed", WANTED, Slow())
"""


class Interrupted(Exception):
    """What ends a run in the test."""


class Stopper:
    """Ends a run after so many updates."""

    def __init__(self, updates: int) -> None:
        self.left = updates

    def step(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    write_pictures(folder / "set")
    trained(folder, "whole", WANTED)
    return folder


def same(folder: Path, name: str) -> None:
    """See that a run ended as the uninterrupted one did, to the bit."""
    for suffix in (".safetensors", ".npz"):
        assert (folder / f"{name}{suffix}").read_bytes() == (folder / f"whole{suffix}").read_bytes()
    for event in ("start", "epoch"):
        assert lines(folder / f"{name}.run", event) == lines(folder / "whole.run", event)


def test_a_killed_process_loses_nothing(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    assert child.stdout is not None
    for line in child.stdout:
        # In the middle of the third epoch.
        if line.split() == ["2", "2"]:
            break
    time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not (folder / "killed.safetensors").exists()
    trained(folder, "killed", WANTED, resume=True)
    same(folder, "killed")
    resumed = [line["resumed"] for line in read_log(folder / "killed.run" / "log.jsonl", "epoch")]
    assert resumed == [False, False, True, False, False, False]


@pytest.mark.parametrize("updates", [1, 4, 5])
def test_a_run_ended_anywhere_goes_on(folder: Path, updates: int) -> None:
    name = f"ended-{updates}"
    with pytest.raises(Interrupted):
        trained(folder, name, WANTED, Stopper(updates))
    with pytest.raises(Interrupted):
        trained(folder, name, WANTED, Stopper(3), resume=True)
    trained(folder, name, WANTED, resume=True)
    same(folder, name)


def test_a_finished_run_is_only_reported_again(folder: Path) -> None:
    before = (folder / "whole.run" / "log.jsonl").read_bytes()
    trained(folder, "whole", WANTED, resume=True)
    assert (folder / "whole.run" / "log.jsonl").read_bytes() == before


# A disk that fills up in the middle of a run: a clear error, nothing half-written, and the run goes on from there.


FULL_DISK_WANTED = recipe(epochs=3, checkpoint=1, measure=["jpeg:60"])


@pytest.fixture(autouse=True)
def room_at_last() -> Iterator[None]:
    yield
    make_room()


class Filler(SilentWatcher):
    """Fills the disk at a moment: the call of a method, by its number."""

    def __init__(self, method: str, number: int) -> None:
        self.moment, self.left = method, number

    def _heard(self, method: str) -> None:
        self.left -= method == self.moment
        if not self.left:
            fill()

    def say(self, line: str) -> None:
        self._heard("say: " + line.partition(":")[0])

    def step(self, *_: Any) -> None:
        self._heard("step")

    def epoch(self, *_: Any) -> None:
        self._heard("epoch")


@pytest.fixture(scope="module")
def full_disk_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    full_disk_folder = tmp_path_factory.mktemp("full")
    write_pictures(full_disk_folder / "set")
    trained(full_disk_folder, "whole", FULL_DISK_WANTED)
    return full_disk_folder


@pytest.mark.parametrize(
    ("moment", "number", "named"),
    [
        ("say: training", 1, "run/recipe.json"),
        ("step", 1, "run/last.safetensors"),
        ("step", 4, "run/log.jsonl"),
        ("epoch", 1, "run/best.safetensors"),
        ("epoch", 3, "run/best.safetensors"),
        ("say: measures jpeg", 1, ".safetensors"),
    ],
)
def test_a_full_disk_is_told_and_the_run_goes_on(full_disk_folder: Path, moment: str, number: int, named: str) -> None:
    name = f"full-{moment.split()[-1]}-{number}"
    with pytest.raises(D2FError) as caught:
        trained(full_disk_folder, name, FULL_DISK_WANTED, Filler(moment, number))
    make_room()
    (problem,) = caught.value.problems
    assert problem.code == "D2F004"
    assert f"{name}.{named.lstrip('.')}' cannot be written: File too large" in problem.message
    assert not [path for path in full_disk_folder.rglob(f"{name}*/*") if path.name.endswith((".part", ".tiles"))]
    assert not list(full_disk_folder.glob(f"{name}.safetensors*"))
    trained(full_disk_folder, name, FULL_DISK_WANTED, resume=True)
    for suffix in (".safetensors", ".npz"):
        assert (full_disk_folder / f"{name}{suffix}").read_bytes() == (full_disk_folder / f"whole{suffix}").read_bytes()
    assert lines(full_disk_folder / f"{name}.run") == lines(full_disk_folder / "whole.run")


def test_tiles_that_have_no_room(full_disk_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("d2f.train.tiles.TileCache.__init__.__defaults__", (0, 2**30))
    with pytest.raises(D2FError, match=r"training-0.tiles' cannot be written: File too large"):
        trained(full_disk_folder, "tiles", FULL_DISK_WANTED, Filler("say: training", 1))
    make_room()
    assert not list((full_disk_folder / "tiles.run").glob("*.tiles"))


# Two processes of `mlx.launch` reach the loss of one on the same global batch.


PROCESSES_WANTED = recipe(
    epochs=2, augment=[{"use": "flip", "probability": 0.5}], optimiser={"use": "adam", "rate": 0.02}
)


PROCESSES_CHILD = """
import sys
from pathlib import Path
from tests.unit.train.test_resuming import PROCESSES_WANTED
from tests.unit.train.network_toys import trained

trained(Path(sys.argv[1]), "two", PROCESSES_WANTED)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the ring of the Linux wheel")
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set")
    trained(tmp_path, "one", PROCESSES_WANTED)
    (tmp_path / "child.py").write_text(PROCESSES_CHILD)
    beside = os.path.dirname(sys.executable)
    launch = shutil.which("mlx.launch", path=os.pathsep.join((beside, os.environ.get("PATH", ""))))
    if launch is None:
        pytest.skip("mlx.launch is not installed")
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
