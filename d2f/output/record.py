"""The record of a run: JSON beside the output, ``OUTPUT.run.json``, with an entry for each run that wrote to it."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from typing import Any

from d2f.api.errors import D2FError
from d2f.files import cannot_write, write_whole
from d2f.output.append import Mode, cannot_resume, exists
from d2f.stores import file_system, is_url, said
from d2f.version import __version__

SUFFIX = ".run.json"


def machine_facts() -> dict[str, Any]:
    """Return what a rate depends on, and nothing that names the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": memory,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


class RunRecord:
    """The record of one output; begun with the run, so that one that was killed has an entry without an end."""

    def __init__(self, output: str, mode: Mode) -> None:
        self.path = output.rstrip("/") + SUFFIX
        self._runs: list[dict[str, Any]] = []
        text = None if mode == "overwrite" else _record_text(self.path)
        if text is not None:
            if mode == "new":
                raise exists(self.path)
            try:
                self._runs = list(json.loads(text)["runs"])
            except (ValueError, KeyError, TypeError) as error:
                raise cannot_resume(self.path, f"it is no record of a run: {error}") from None

    def begin(self, facts: dict[str, Any]) -> None:
        """Write that a run has begun, and what is known of it."""
        start = {"d2f": __version__, "started": _now(), "ended": None}
        self._runs.append({**start, **facts, "machine": machine_facts()})
        self._write()

    def end(self, how: str, facts: dict[str, Any]) -> None:
        """Write that the run has ended: ``complete``, ``interrupted`` or ``failed``, and what it has done."""
        self._runs[-1] |= {"ended": _now(), "how": how, **facts}
        self._write()

    def _write(self) -> None:
        text = json.dumps({"runs": self._runs}, indent=1, ensure_ascii=False) + "\n"
        if not is_url(self.path):
            write_whole(self.path, text)
            return
        system, path = file_system(self.path)
        try:
            with system.open_output_stream(path) as file:
                file.write(text.encode())
        except OSError as error:
            raise cannot_write(self.path, said(error)) from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _record_text(path: str) -> bytes | None:
    try:
        if not is_url(path):
            with open(path, "rb") as file:
                return file.read()
        system, place = file_system(path)
        with system.open_input_stream(place) as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise D2FError.of("D2F006", f"'{path}' cannot be read: {said(error)}") from None
