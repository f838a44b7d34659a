"""What a run tells of itself on stderr while it goes on: words, or one JSON object a line."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from d2f.api.errors import D2FError, Problem
from d2f.cli.main import print_problems

if TYPE_CHECKING:
    from d2f.api.outcomes import StageFinished

LOG_FORMATS = ("text", "json")
PROGRESS_SECONDS = 10.0
Facts = dict[str, Any]


class RunLog:
    """Tells problems, progress and the end of a run; progress in words is the progress bar's."""

    def __init__(self, is_json: bool) -> None:
        self.is_json = is_json
        self._told = time.monotonic()

    def event(self, name: str, **facts: Any) -> None:
        """Write one JSON object: time, name, facts."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": name, **facts}
        # Past Python's streams: a signal may come while one of them is being written to.
        os.write(2, json.dumps(line, ensure_ascii=True).encode() + b"\n")

    def tell(self, name: str, sentence: str) -> None:
        """Say a sentence."""
        if self.is_json:
            self.event(name, message=sentence)
        else:
            click.echo(sentence, err=True)

    def tell_problems(self, problems: Iterable[Problem]) -> None:
        """Say what is wrong."""
        if not self.is_json:
            print_problems(problems)
            return
        for one in problems:
            place = None if one.place is None else {"file": one.place.file, "line": one.place.line}
            facts = {"code": one.code, "message": one.message, "place": place, "notes": list(one.notes)}
            self.event("problem", severity=one.severity, **facts)

    @contextmanager
    def problems(self) -> Iterator[None]:
        """Tell the problems of an error that ends the block, where they are told as JSON; the exit code stays."""
        try:
            yield
        except D2FError as error:
            if not self.is_json:
                raise
            self.tell_problems(error.problems)
            raise click.exceptions.Exit(int(error.exit)) from None

    def now_and_then(self, facts: Callable[[], Facts]) -> None:
        """Write progress as JSON, where the last was some time ago."""
        if self.is_json and time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._told = time.monotonic()
            self.event("progress", **facts())

    @contextmanager
    def on_signal(self, facts: Callable[[], Facts]) -> Iterator[None]:
        """Within this block, have SIGUSR1 tell the facts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def told(*_: object) -> None:
            found = facts()
            if self.is_json:
                self.event("progress", **found)
                return
            rate, codes = found.pop("rate"), found.pop("codes")
            counts = ", ".join(f"{number} {name}" for name, number in (found | codes).items())
            os.write(2, f"{counts}; {rate} a second\n".encode())

        before = signal.signal(signal.SIGUSR1, told)
        try:
            yield
        finally:
            signal.signal(signal.SIGUSR1, before)


class StageTimes:
    """Images and seconds of each stage, over all threads and processes."""

    def __init__(self) -> None:
        self._images: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()

    def add(self, event: StageFinished) -> None:
        """Count a stage that has finished."""
        name = f"{event.kind} {event.name}" if event.kind != event.name else event.kind
        name += f"/{event.view}" if event.view else ""
        self._images[name] += event.images
        self._seconds[name] += event.seconds  # type: ignore[assignment]

    def data(self) -> Facts:
        """Return them as plain data, the slowest first."""
        return {
            name: {"images": self._images[name], "seconds": round(seconds, 3)}
            for name, seconds in self._seconds.most_common()
        }
