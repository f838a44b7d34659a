"""What a person sees: colour, a table and a bar on a terminal, none of them elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
import threading

import pytest

from d2f import progress
from d2f.cli.main import main
from d2f.images.files import find_images
from tests.cli.toy import Toy, toy

__all__ = ["toy"]


class Terminal:
    """A terminal of 100 columns, and all that was ever written on it."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self._seen = b""
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def text(self) -> str:
        """Hang up and return what was written."""
        os.close(self.theirs)
        self._reading.join(30)
        os.close(self._ours)
        return self._seen.decode()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                return
            if not data:
                return
            self._seen += data


def watch(toy: Toy, *arguments: str, screen: str, **environment: str) -> tuple[str, str, str]:
    """Run with ``out``, ``err`` or both on a terminal; return its text and what went elsewhere."""
    terminal = Terminal()
    streams = {name: terminal.theirs if name in screen else subprocess.PIPE for name in ("stdout", "stderr")}
    env = {name: value for name, value in toy.environment.items() if name not in {"COLUMNS", "NO_COLOR"}}
    with subprocess.Popen(
        toy.command(*arguments),
        cwd=toy.folder,
        env={**env, "TERM": "xterm", **environment},
        stdin=subprocess.DEVNULL,
        text=True,
        **streams,  # type: ignore[call-overload]
    ) as running:
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0
    return terminal.text(), out or "", err or ""


@pytest.fixture
def slow(toy: Toy) -> Toy:
    """Thirty pictures, and a chain that takes a second over them."""
    for number in range(30):
        toy.picture(f"photos/{number:02}.png", "white")
    toy.slow(0.03)
    return toy


def test_a_table_and_a_bar_share_the_terminal(slow: Toy) -> None:
    seen, _, _ = watch(slow, "slow.yaml", "photos", screen="stdout stderr")
    assert "\x1b[31mAI-generated           0.8718\x1b[0m" in seen
    assert re.search(r"\d+ of 30 images", seen)
    assert re.search(r"\d+\.\d a second", seen)
    assert len(re.findall(r"photos/\d\d\.png +AI-generated", seen.replace("\x1b[31m", ""))) == 30
    assert "30 images: 30 AI-generated, 0 no sign of generation, 0 inconclusive, 0 failed" in seen
    assert seen.rindex("of 30 images") < seen.rindex("30 images: 30 AI-generated")


def test_rows_in_a_pipe_with_a_bar_on_the_terminal(slow: Toy) -> None:
    seen, out, _ = watch(slow, "slow.yaml", "photos", "--format", "csv", screen="stderr")
    assert len(out.splitlines()) == 31
    assert "\x1b" not in out
    assert "of 30 images" in seen
    assert "30 images: 30 AI-generated" in seen


def test_a_table_on_the_terminal_leaves_stderr_clean(slow: Toy) -> None:
    seen, _, err = watch(slow, "slow.yaml", "photos", screen="stdout")
    assert "of 30 images" not in seen
    assert "\x1b" not in err
    assert err.startswith("30 images: 30 AI-generated")


@pytest.mark.parametrize("option", ["--quiet", "--no-progress"])
def test_no_bar_where_none_is_wanted(slow: Toy, option: str) -> None:
    seen, _, _ = watch(slow, "slow.yaml", "photos", option, "-o", "rows.csv", screen="stderr")
    assert seen == ""


def test_no_colour_where_none_is_wanted(slow: Toy) -> None:
    seen, _, _ = watch(slow, "slow.yaml", "photos/00.png", "-q", screen="stdout stderr", NO_COLOR="1")
    assert "\x1b[3" not in seen
    assert "AI-generated           0.8718" in seen


def test_lines_in_a_log_where_they_are_wanted(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    for number in range(3):
        toy.picture(f"photos/{number}.png")
    assert main(["chain", "run", "toy.yaml", "photos", "-o", "rows.csv", "-q", "--progress"]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert [re.sub(r"\d+\.\d a", "R a", line.replace(" of 3", "")) for line in lines] == [
        f"{number} images, R a second" for number in (1, 2, 3)
    ]


def test_nothing_is_counted_on_standard_input(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    toy.picture("photos/a.png")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"photos/a.png\n")))
    assert main(["chain", "run", "toy.yaml", "-", "-o", "rows.csv", "-q", "--progress"]) == 0
    assert capfd.readouterr().err.startswith("1 images, ")


def test_a_count_that_cannot_be_made_is_no_error(toy: Toy) -> None:
    counted: list[int] = []
    toy.picture("photos/a.png")
    for paths in (["photos", "photos/a.png"], ["missing"]):
        counting = progress.BackgroundCount(lambda paths=paths: find_images(paths), counted.append)
        counting.start()
        counting.join(10)
    assert counted == [1]
