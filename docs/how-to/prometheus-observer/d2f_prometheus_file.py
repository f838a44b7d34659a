"""An observer for d2f: what each stage has done, as a text file that Prometheus's node exporter collects.

The file is named by D2F_PROMETHEUS_FILE, for instance /var/lib/node_exporter/d2f.prom; it is replaced every few
seconds and at the end, and a reader sees the old or the new one, never a part.
"""

from __future__ import annotations

import atexit
import os
import threading
import time

import d2f

EVERY = 5.0
"""Seconds between two writes."""

_lock = threading.Lock()
_totals: dict[tuple[str, str, str], list[float]] = {}
_written = 0.0


@d2f.hookimpl
def d2f_stage_finished(event: d2f.StageFinished) -> None:
    """Count a batch; stages finish in several threads at once."""
    global _written
    with _lock:
        total = _totals.setdefault((event.kind, event.name, event.view), [0, 0.0])
        total[0] += event.images
        total[1] += event.seconds
        if time.monotonic() - _written < EVERY:
            return
        _written = time.monotonic()
    write()


def text() -> str:
    """Return the totals in Prometheus's text format."""
    with _lock:
        totals = {key: tuple(total) for key, total in sorted(_totals.items())}
    lines = []
    for place, name, what in (
        (0, "d2f_stage_images_total", "Images that a stage has worked on."),
        (1, "d2f_stage_seconds_total", "Seconds that a stage has taken, over all threads and processes."),
    ):
        lines += [f"# HELP {name} {what}", f"# TYPE {name} counter"]
        for labels, total in totals.items():
            pairs = ",".join(
                f'{key}="{_escaped(value)}"' for key, value in zip(("kind", "name", "view"), labels, strict=True)
            )
            lines.append(f"{name}{{{pairs}}} {total[place]:.10g}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def write() -> None:
    """Replace the file."""
    path = os.environ.get("D2F_PROMETHEUS_FILE")
    if path:
        with open(f"{path}.{os.getpid()}.tmp", "w", encoding="utf-8") as file:
            file.write(text())
        os.replace(file.name, path)


atexit.register(write)
