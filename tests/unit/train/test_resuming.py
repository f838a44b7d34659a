"""A run that was killed and goes on ends with the numbers of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from d2f.train.folder import read_log
from tests.unit.train.network_toys import recipe, trained, write_pictures
from tests.unit.train.test_network import lines

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
