"""Progress: a bar on a terminal, elsewhere lines now and then with the rate, and what is said beside them."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

import d2f.progress
from d2f.progress import LINE_EVERY, Progress


class Terminal(StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


def test_a_line_now_and_then_with_the_rate_of_this_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(d2f.progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    with Progress("scoring", total=90, lines=True) as progress:
        progress.start(done=10)
        for seconds, done in ((LINE_EVERY - 1, 20), (20.0, 40), (21.0, 45), (40.0, 90)):
            clock.now = 100.0 + seconds
            progress.update(done)
    # 30 more in 20 s, 80 more in 40 s.
    assert capsys.readouterr().err == "40 of 90 images, 1.5 a second\n90 of 90 images, 2.0 a second\n"


@pytest.mark.parametrize("given", [True, False])
def test_a_bar_is_drawn_on_the_console_that_is_given_or_on_stderr(given: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", StringIO() if given else terminal)
    console = Console(file=terminal, force_terminal=True, width=80) if given else None
    with Progress("scoring", total=4, console=console) as progress:
        progress.start()
        progress.update(3)
        progress.refresh()
    assert "3 of 4 images" in terminal.getvalue()


@pytest.mark.parametrize(("shown", "err"), [(True, "a caution\n"), (False, "")])
def test_a_sentence_is_said_unless_nothing_is_shown(shown: bool, err: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("scoring", shown=shown) as progress:
        progress.say("a caution")
    assert capsys.readouterr() == ("", err)
