"""`d2f chain run` in several processes: the same rows, and a plugin that misbehaves costs its own scores only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from d2f.api.errors import Exit
from tests.cli.toy import Toy, toy

__all__ = ["toy"]

PLUGIN = """
    import ctypes
    import os
    import time

    import d2f
    import numpy as np
    from pydantic import BaseModel, ConfigDict

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

    class Hidden(Exception):
        pass

    def hang():
        while True:
            pass

    def grow():
        blocks = []
        while True:
            blocks.append(b"x" * 2**25)
            time.sleep(0.01)

    def speak():
        os.write(1, b"LOUD")
        ctypes.CDLL(None).puts(b"LOUD")
        print("LOUD", flush=True)

    ACTIONS = {1: hang, 2: lambda: os._exit(3), 3: lambda: ctypes.string_at(0), 4: grow, 5: speak,
               7: lambda: os.kill(os.getpid(), 9)}

    def act(pixels):
        ACTIONS.get(int(pixels[0, 0, 0]), int)()

    class Nasty:
        name = "nasty"
        summary = "Does what a picture's colour says."
        Options = Options
        wants = d2f.WholeImage()

        def __init__(self, options):
            pass

        def score(self, batch):
            for pixels in batch:
                act(pixels)
                if pixels[0, 0, 0] == 6:
                    raise ValueError("six")
                if pixels[0, 0, 0] == 8:
                    return [float("nan")] * len(batch)
                if pixels[0, 0, 0] == 9:
                    return [0.5, 0.5, 0.5]
            return [float(pixels[0, 0, 1]) / 255 for pixels in batch]

    class NastyTiles(Nasty):
        name = "nasty-tiles"
        wants = d2f.Tiles(count=1, size=8, batch=4)

    class Patient(Nasty):
        name = "patient"
        time_limit = 2.0

    class NastyStep:
        name = "nasty-step"
        summary = "Does what a picture's colour says."
        Options = Options

        def __init__(self, options):
            pass

        def apply(self, pixels, seed):
            act(pixels)
            return 255 - pixels

    class NastyCheck:
        name = "nasty-check"
        summary = "Does what a picture's colour says."
        Options = Options

        def __init__(self, options):
            pass

        def check(self, image):
            act(image.pixels)

    class NastyCombiner:
        name = "nasty-combiner"
        summary = "Ends the process where a score is high."
        Options = Options

        def __init__(self, options, members):
            pass

        def combine(self, probabilities):
            if (probabilities > 0.9).any():
                os._exit(4)
            llr = np.zeros(len(probabilities))
            return d2f.Combination(llr, np.zeros(probabilities.shape))

        @classmethod
        def fit(cls, options, members, probabilities, labels, weights):
            return options

    @d2f.hookimpl
    def d2f_detectors():
        return [Nasty, NastyTiles, Patient]

    @d2f.hookimpl
    def d2f_preprocessors():
        return [NastyStep]

    @d2f.hookimpl
    def d2f_preconditions():
        return [NastyCheck]

    @d2f.hookimpl
    def d2f_combiners():
        return [NastyCombiner]
    """

CHAIN = """\
d2f: 1
name: nasty
views:
  turned: [{use: STEP}]
EXTRA
detectors:
  - {id: light, use: toy-light, views: [plain, turned]}
  - {id: nasty, use: NASTY}
MORE
calibrate:
  light/plain: {use: platt, with: {slope: 8.0, bias: -4.0}}
  light/turned: {use: platt, with: {slope: -4.0, bias: 2.0}}
  nasty/plain: {use: platt, with: {slope: 1.0, bias: -0.5}}
combine: {use: COMBINER}
"""
HANG, EXIT, SEGFAULT, GROW, SPEAK, RAISE, KILL, NAN, SHAPE = 1, 2, 3, 4, 5, 6, 7, 8, 9


class Nasty:
    """A folder with pictures and the chain ``nasty.yaml``."""

    def __init__(self, toy: Toy) -> None:
        self.toy = toy
        toy.distributions.add_plugin("nasty", PLUGIN, version="3.4")
        self.chain()

    def chain(self, **words: str) -> None:
        """Write the chain, with other words in the places of a few."""
        defaults = {"NASTY": "nasty", "STEP": "toy-invert", "COMBINER": "logit-mean", "EXTRA": "", "MORE": ""}
        text = CHAIN
        for name, word in (defaults | words).items():
            text = text.replace(name, word)
        (self.toy.folder / "nasty.yaml").write_text(text, "utf-8")

    def pictures(self, *actions: int) -> None:
        """Write pictures 00, 01, … whose colour is an action; 0 for none."""
        for number, action in enumerate(actions):
            self.toy.picture(f"photos/{number:02}.png", (action, 100 + number, 0))

    def run(
        self, *arguments: str, output: str = "rows.jsonl"
    ) -> tuple[list[dict[str, Any]], subprocess.CompletedProcess[str]]:
        """Run the chain over the pictures; return the rows and what the process left."""
        command = self.toy.command("nasty.yaml", "photos", "-o", output, "--overwrite", *arguments)
        done = subprocess.run(command, env=self.toy.environment, capture_output=True, text=True, timeout=300)
        path = self.toy.folder / output
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else [], done


@pytest.fixture
def nasty(toy: Toy) -> Nasty:
    return Nasty(toy)


def error(row: dict[str, Any], detector: str = "nasty") -> str | None:
    """Return the code of a detector's error in a row."""
    found = [stage["error"] for stage in row["stages"] if stage["detector"] == detector]
    return found[0]["code"] if found[0] else None


def light(row: dict[str, Any]) -> Any:
    return [stage for stage in row["stages"] if stage["detector"] == "light"]


class TestSameRows:
    def test_whatever_the_number_of_processes(self, nasty: Nasty) -> None:
        nasty.chain(MORE="  - {id: tiles, use: nasty-tiles}")
        nasty.pictures(*[0] * 20, RAISE, 0, NAN, 0, SHAPE)
        (nasty.toy.folder / "photos" / "08x.png").write_bytes(b"not an image")
        texts = []
        for workers in ("1", "2", "3"):
            _, done = nasty.run("--workers", workers, output=f"{workers}.jsonl")
            assert done.returncode == Exit.SOME_FAILED
            texts.append((nasty.toy.folder / f"{workers}.jsonl").read_bytes())
        assert texts[0].count(b"\n") == 26
        assert texts[1] == texts[0]
        assert texts[2] == texts[0]

    def test_processes_are_several(self, nasty: Nasty) -> None:
        nasty.toy.slow(0.2, "slow.yaml")
        nasty.pictures(*[0] * 12)
        command = nasty.toy.command("slow.yaml", "photos", "-o", "rows.jsonl", "--workers", "3")
        with subprocess.Popen(
            command, env=nasty.toy.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running:
            seen: set[int] = set()
            while running.poll() is None and len(seen) < 3:
                seen |= {pid for pid in children(running.pid) if "worker_child" in command_line(pid)}
                time.sleep(0.02)
            running.communicate()
        assert len(seen) == 3
        assert all(gone(pid) for pid in seen)

    def test_many_files_are_worth_processes_and_few_are_not(
        self, nasty: Nasty, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from d2f.chain import result

        monkeypatch.setattr(result, "usable_cores", lambda: 2)
        monkeypatch.setattr(result.sys, "platform", "linux")
        for count, expected in ((0, False), (99, False), (100, True), (150, True)):
            several, files = result.worth_it(iter(map(str, range(count))))
            assert (several, list(files)) == (expected, [str(number) for number in range(count)])


PLUGIN_NAMED = "; plugin d2f-nasty 3.4"
EXPECTED = {
    RAISE: ("D2F401", ["ValueError: six"]),
    NAN: ("D2F403", ["not a finite number"]),
    SHAPE: ("D2F402", ["returned 3 scores for a batch of 1"]),
    HANG: ("D2F410", [f"detector 'nasty' took longer than 5 s{PLUGIN_NAMED}", "d2f_nasty.py", "in hang"]),
    EXIT: ("D2F411", [f"ended with exit code 3 during detector 'nasty'{PLUGIN_NAMED}"]),
    SEGFAULT: ("D2F411", [f"ended by SIGSEGV during detector 'nasty'{PLUGIN_NAMED}"]),
    KILL: ("D2F411", [f"ended by SIGKILL during detector 'nasty'{PLUGIN_NAMED}"]),
    GROW: ("D2F412", [f"used more than 1,024 MiB during detector 'nasty'{PLUGIN_NAMED}"]),
}


class TestMisbehaviour:
    """One stage at a time: its code, its plugin and version, the other scores unhurt, exit code 1."""

    @pytest.mark.parametrize("actions", [[RAISE, NAN, SHAPE, HANG, EXIT], [SEGFAULT, KILL, GROW]])
    def test_a_detector(self, nasty: Nasty, actions: list[int]) -> None:
        nasty.pictures(0, *actions)
        rows, done = nasty.run("--workers", "2", "--memory-limit", "1Gi", "--time-limit", "5")
        assert done.returncode == Exit.SOME_FAILED
        assert [row["path"] for row in rows] == [f"photos/{number:02}.png" for number in range(len(actions) + 1)]
        assert (error(rows[0]), rows[0]["missing"]) == (None, [])
        for action, row in zip(actions, rows[1:], strict=True):
            code, messages = EXPECTED[action]
            found = next(stage["error"] for stage in row["stages"] if stage["detector"] == "nasty")
            assert found["code"] == code
            assert [one for one in messages if one not in found["message"]] == []
            assert [(one["detector"], one["reason"][:7]) for one in row["missing"]] == [("nasty", f"{code}:")]
            assert row["verdict"] == "inconclusive"
            assert row["plugins"]["d2f-nasty"] == "3.4"
            assert all(stage["score"] is not None for stage in light(row))
            assert code in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

    def test_a_plugins_own_time_limit_holds_by_default(self, nasty: Nasty) -> None:
        nasty.chain(NASTY="patient")
        nasty.pictures(HANG, 0)
        rows, _ = nasty.run("--workers", "2")
        assert rows[0]["stages"][2]["error"]["message"].startswith("detector 'nasty' took longer than 2 s")
        assert error(rows[1]) is None

    def test_a_limit_alone_is_reason_enough_for_a_process(self, nasty: Nasty) -> None:
        nasty.pictures(EXIT, 0)
        rows, done = nasty.run("--memory-limit", "1Gi")
        assert done.returncode == Exit.SOME_FAILED
        assert [error(row) for row in rows] == ["D2F411", None]

    def test_output_of_every_kind_stays_away_from_the_rows(self, nasty: Nasty) -> None:
        nasty.pictures(0, SPEAK, 0)
        command = nasty.toy.command("nasty.yaml", "photos", "--format", "jsonl", "--workers", "2")
        done = subprocess.run(command, env=nasty.toy.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == Exit.OK
        assert "LOUD" not in done.stdout
        assert len([json.loads(line) for line in done.stdout.splitlines()]) == 3

    def test_a_detector_of_tiles_costs_the_image_at_fault_only(self, nasty: Nasty) -> None:
        nasty.chain(NASTY="nasty-tiles")
        nasty.pictures(0, 0, 0, 0, EXIT, 0, HANG, 0, 0)
        rows, done = nasty.run("--workers", "2", "--time-limit", "3")
        assert [error(row) for row in rows] == [None] * 4 + ["D2F411", None, "D2F410", None, None]
        assert done.returncode == Exit.SOME_FAILED

    def test_a_preprocessor(self, nasty: Nasty) -> None:
        nasty.chain(STEP="nasty-step")
        nasty.pictures(0, SEGFAULT, 0)
        rows, done = nasty.run("--workers", "2")
        stages = {f"{stage['detector']}/{stage['view']}": stage for stage in rows[1]["stages"]}
        message = "was ended by SIGSEGV during preprocessor 'nasty-step' of view 'turned'; plugin d2f-nasty 3.4"
        assert stages["light/turned"]["error"]["code"] == "D2F411"
        assert message in stages["light/turned"]["error"]["message"]
        assert stages["light/plain"]["score"] is not None
        assert done.returncode == Exit.SOME_FAILED

    def test_a_precondition(self, nasty: Nasty) -> None:
        nasty.chain(EXTRA="require: [{use: nasty-check}]")
        nasty.pictures(0, EXIT, 0)
        rows, done = nasty.run("--workers", "2")
        assert "nasty-check" in {one["detector"] for one in rows[1]["missing"]}
        assert any("D2F411" in one["reason"] for one in rows[1]["missing"])
        assert [row["verdict"] == "inconclusive" for row in rows][1]
        assert rows[0]["missing"] == rows[2]["missing"] == []
        assert done.returncode == Exit.SOME_FAILED

    def test_a_combiner_costs_the_row(self, nasty: Nasty) -> None:
        nasty.chain(COMBINER="nasty-combiner")
        nasty.pictures(0, 0)
        nasty.toy.picture("photos/99.png", "white")
        rows, done = nasty.run("--workers", "2")
        assert [row["error"]["code"] if row["error"] else None for row in rows] == [None, None, "D2F411"]
        assert "the combiner" in rows[2]["error"]["message"]
        assert done.returncode == Exit.SOME_FAILED


class TestSwitchedOff:
    def test_after_three_processes_every_later_row_says_so(self, nasty: Nasty) -> None:
        nasty.pictures(0, EXIT, 0, SEGFAULT, 0, EXIT, *[0] * 14)
        rows, done = nasty.run("--workers", "2")
        codes = [error(row) for row in rows]
        assert codes[:6] in ([None, "D2F411"] * 3, [None, "D2F411", None, "D2F411", "D2F413", "D2F411"])
        assert codes[-10:] == ["D2F413"] * 10
        reason = rows[-1]["missing"][0]
        assert reason["detector"] == "nasty"
        assert "D2F413: detector 'nasty' is switched off: it ended 3 processes" in reason["reason"]
        assert "plugin d2f-nasty 3.4" in reason["reason"]
        assert rows[-1]["verdict"] == "inconclusive"
        assert all(stage["score"] is not None for row in rows for stage in light(row))
        assert done.returncode == Exit.SOME_FAILED

    def test_two_are_not_enough(self, nasty: Nasty) -> None:
        nasty.pictures(0, EXIT, 0, EXIT, *[0] * 6)
        rows, _ = nasty.run("--workers", "2")
        assert [error(row) for row in rows] == [None, "D2F411", None, "D2F411"] + [None] * 6


def children(pid: int) -> list[int]:
    try:
        found = [one for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]
    except OSError:
        return []
    return [int(one) for one in found]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def gone(pid: int) -> bool:
    for _ in range(1000):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


class TestKilled:
    """What others end costs time only."""

    @pytest.fixture
    def slow(self, nasty: Nasty) -> Nasty:
        nasty.toy.slow(0.1, "nasty.yaml")
        nasty.pictures(*[0] * 30)
        return nasty

    def start(self, nasty: Nasty, *arguments: str) -> subprocess.Popen[str]:
        command = nasty.toy.command("nasty.yaml", "photos", "-o", "rows.jsonl", "--workers", "2", *arguments)
        return subprocess.Popen(
            command, env=nasty.toy.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def some_rows(self, nasty: Nasty, running: subprocess.Popen[str], count: int) -> None:
        path = nasty.toy.folder / "rows.jsonl"
        for _ in range(3000):
            if (path.exists() and path.read_bytes().count(b"\n") >= count) or running.poll() is not None:
                return
            time.sleep(0.02)

    def test_a_worker(self, slow: Nasty) -> None:
        expected, _ = slow.run("--workers", "1", output="expected.jsonl")
        with self.start(slow) as running:
            for count in (3, 8, 13):
                self.some_rows(slow, running, count)
                for pid in children(running.pid)[:1]:
                    os.kill(pid, signal.SIGKILL)
            _, err = running.communicate(timeout=300)
        assert running.returncode == Exit.OK, err
        rows = [json.loads(line) for line in (slow.toy.folder / "rows.jsonl").read_text().splitlines()]
        assert rows == expected

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_the_run_itself_and_then_resumed(self, slow: Nasty, number: int) -> None:
        expected, _ = slow.run("--workers", "1", output="expected.jsonl")
        with self.start(slow) as running:
            self.some_rows(slow, running, 5)
            workers = children(running.pid)
            running.send_signal(number)
            _, err = running.communicate(timeout=300)
        assert running.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130}[number]
        assert "Traceback" not in err
        assert len(workers) == 2
        assert all(gone(pid) for pid in workers)
        with self.start(slow, "--resume") as running:
            running.communicate(timeout=300)
        rows = [json.loads(line) for line in (slow.toy.folder / "rows.jsonl").read_text().splitlines()]
        assert rows == expected


class TestStart:
    def test_a_stage_that_cannot_be_loaded_ends_the_run_before_its_output_exists(self, nasty: Nasty) -> None:
        source = nasty.toy.distributions.folder / "d2f_nasty.py"
        text = source.read_text().replace(
            "    def score(self, batch):",
            "    def load(self):\n        raise OSError('no such disk')\n\n    def score(self, batch):",
            1,
        )
        source.write_text(text)
        nasty.pictures(0, 0)
        rows, done = nasty.run("--workers", "2")
        assert (rows, done.returncode) == ([], Exit.PLUGIN)
        assert "error[D2F209]: detector 'nasty' could not be loaded" in done.stderr
        assert not (nasty.toy.folder / "rows.jsonl").exists()

    def test_a_stage_that_ends_its_process_when_loaded(self, nasty: Nasty) -> None:
        source = nasty.toy.distributions.folder / "d2f_nasty.py"
        text = source.read_text().replace(
            "    def score(self, batch):", "    def load(self):\n        os._exit(9)\n\n    def score(self, batch):", 1
        )
        source.write_text(text)
        nasty.pictures(0, 0)
        rows, done = nasty.run("--workers", "2")
        assert rows == []
        assert "error[D2F411]: the worker process ended with exit code 9 during detector 'nasty'" in done.stderr
