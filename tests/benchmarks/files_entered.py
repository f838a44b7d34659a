"""Print the files of d2f whose functions run in a command.

``python -m tests.benchmarks.files_entered chain check fast``

Counts of a fresh process; functions that run while a module is imported are not counted, and threads are.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = Path(__file__).parents[2] / "d2f"


def files_entered(arguments: list[str]) -> Counter[str]:
    """Run ``d2f ARGUMENTS`` and return how many calls went into each file of d2f, by its path in the package."""
    from d2f.cli.main import main

    calls: Counter[str] = Counter()
    prefix = str(PACKAGE) + "/"

    def trace(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(prefix) and not _is_import(frame):
            calls[name.removeprefix(prefix)] += 1

    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        main(arguments)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return calls


def _is_import(frame: FrameType) -> bool:
    """Whether a frame is a module's own body, a class's, or called by one."""
    return "<module>" in (frame.f_code.co_name, frame.f_back.f_code.co_name if frame.f_back else "") or (
        frame.f_code.co_name.isidentifier() and "__module__" in frame.f_locals and "__qualname__" in frame.f_locals
    )


if __name__ == "__main__":
    found = files_entered(sys.argv[1:])
    for file, count in sorted(found.items()):
        print(f"{count:>8}  {file}", file=sys.stderr)
    print(f"{len(found)} files, {found.total()} calls", file=sys.stderr)
