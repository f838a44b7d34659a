"""What code asks of the interpreter while it runs: files opened, names unpickled, hosts called.

Python's audit events (PEP 578) tell of all of them, whatever library asks. A hook cannot be taken away
again, so it is put in place at the first use, and does nothing between uses.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

OWN = __name__.rpartition(".")[0]
CALLS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")

_watching: dict[int, Seen] = {}
_installed = False


@dataclass(slots=True)
class Seen:
    """What was asked for.

    Parameters
    ----------
    opened : list of str
        Paths of files opened for reading or writing, without those that an import opens.
    unpickled : list of str
        ``module.name`` of everything that a pickle looked up, without what an import unpickles.
    called : list of str
        Hosts, as far as the event names one.
    """

    opened: list[str] = field(default_factory=list)
    unpickled: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)


@contextmanager
def watched() -> Iterator[Seen]:
    """Yield what this thread asks of the interpreter while the block runs."""
    _install()
    seen, thread = Seen(), threading.get_ident()
    before = _watching.get(thread)
    _watching[thread] = seen
    try:
        yield seen
    finally:
        if before is None:
            del _watching[thread]
        else:
            _watching[thread] = before


def _install() -> None:
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    seen = _watching.get(threading.get_ident())
    if seen is None or not (event in ("open", "pickle.find_class") or event in CALLS) or _importing():
        return
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        seen.opened.append(os.fsdecode(arguments[0]))
    elif event == "pickle.find_class":
        seen.unpickled.append(".".join(map(str, arguments)))
    elif event in CALLS:
        seen.called.append(" ".join(str(one) for one in arguments if isinstance(one, str | tuple)))


def _importing() -> bool:
    """Whether the code that asks is being imported, rather than called by the kit."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith(OWN):
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
