"""The child of a supervised worker process: takes requests, calls the target, says which stage is running.

`d2f.engine.worker` is the parent's side. Requests come through shared memory that has no name (so nothing is left
behind, whoever is killed), answers through a socket.
"""

from __future__ import annotations

import faulthandler
import fcntl
import mmap
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError

REQUEST = struct.Struct("<QQ")
"""Where in the shared memory the list of parts of a request is: start and size in bytes."""

REPLY = struct.Struct("<cQ")
"""Kind of a reply (`READY`, `ANSWER`, `ERROR`) and the size in bytes of the pickle that follows."""

READY, ANSWER, ERROR = b"r", b"a", b"e"

STATUS = struct.Struct("<QdH")
"""Number of the mark, time limit in seconds (0: none), size in bytes of the label that follows."""

STATUS_SIZE = 4096
LABEL_SIZE = 400

Handler = Callable[[Any], Any]

_status: mmap.mmap | None = None
_running: tuple[str, float] = ("", 0.0)
_marks = 0


@contextmanager
def running(label: str, time_limit: float | None = None) -> Iterator[None]:
    """Name the stage that runs within this context, so that a hang or a crash is attributed to it.

    The parent ends the process after `time_limit` seconds of wall time. Does nothing outside of a worker process, of
    which one thread may use it.
    """
    outer = _running
    _mark(label, time_limit or 0.0)
    try:
        yield
    finally:
        _mark(*outer)


def _mark(label: str, time_limit: float) -> None:
    global _running, _marks
    if _status is not None:
        _running, _marks = (label, time_limit), _marks + 1
        text = label.encode("utf-8", "replace")[:LABEL_SIZE]
        _status[: STATUS.size + len(text)] = STATUS.pack(_marks, time_limit, len(text)) + text


def serve_parent() -> None:
    """Serve one parent, whose file descriptors are in the command line, until it closes its end."""
    global _status
    channel, lifeline, status = (int(number) for number in sys.argv[1:4])
    del sys.argv[1:]
    for inherited in (channel, lifeline, status):
        os.set_inheritable(inherited, False)
    # The parent decides what Ctrl-C means; a crash leaves no core file in the user's folder.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    faulthandler.enable(all_threads=False)
    _die_with_parent(lifeline)
    _status = mmap.mmap(status, STATUS_SIZE)
    os.close(status)
    connection = _Connection(socket.socket(fileno=channel))
    path, target, arguments, memory_limit = connection.receive()
    sys.path[:] = path
    _limit_memory(memory_limit)
    handler = connection.reply(READY, lambda: load_target(target)(pickle.loads(arguments)))
    while handler is not None:
        try:
            request = connection.receive()
        except EOFError:
            break
        connection.reply(ANSWER, partial(handler, request))
        del request


def load_target(target: str) -> Callable[[Any], Handler]:
    """Return the function that ``module:function`` names."""
    module, _, name = target.partition(":")
    function: Callable[[Any], Handler] = getattr(import_module(module), name)
    return function


class _Connection:
    """The child's end of the channel, and the shared memory that requests come in."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._memory: mmap.mmap | None = None

    def receive(self) -> Any:
        """Return the next request; EOFError once the parent has closed its end."""
        data, descriptors, _, _ = socket.recv_fds(self._channel, REQUEST.size, 1)
        while len(data) < REQUEST.size:
            more = self._channel.recv(REQUEST.size - len(data)) if data else b""
            if not more:
                raise EOFError
            data += more
        for descriptor in descriptors:
            self._memory = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            os.close(descriptor)
        assert self._memory is not None
        memory = memoryview(self._memory)
        start, size = REQUEST.unpack(data)
        first, *buffers = (memory[at : at + length] for at, length in pickle.loads(memory[start : start + size]))
        return pickle.loads(first, buffers=buffers)

    def reply(self, kind: bytes, work: Callable[[], Any]) -> Any:
        """Do some work and send what it returns or raises; return it, None where it raised."""
        try:
            value = work()
            payload = pickle.dumps(None if kind == READY else value, 5)
        except D2FError as error:
            value, kind, payload = None, ERROR, pickle.dumps(("problems", error.problems, int(error.exit)))
        except (Exception, SystemExit) as error:
            reason = "memory" if isinstance(error, MemoryError) else "raised"
            said = "".join(traceback.format_exception_only(error)).strip()
            value, kind, payload = None, ERROR, pickle.dumps((reason, said, traceback.format_exc()))
        self._channel.sendall(REPLY.pack(kind, len(payload)))
        self._channel.sendall(payload)
        return value


def _die_with_parent(lifeline: int) -> None:
    """End the process group once the other end of a pipe is closed, as happens when the parent dies, however it does.

    On Linux by a signal of the kernel's, so that also a loop that holds the interpreter's lock ends. (PR_SET_PDEATHSIG
    would already fire when the thread of the parent ends that started the process.)
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
        with suppress(OSError):  # where the system runs out of memory, this process goes before its parent
            Path("/proc/self/oom_score_adj").write_text("500")
    threading.Thread(target=_watch, args=(lifeline, os.getppid()), daemon=True).start()


def _watch(lifeline: int, parent: int) -> None:
    poll = select.poll()
    poll.register(lifeline)
    # A process that the parent forked may keep the pipe open: then the parent's number tells.
    while not poll.poll(1000) and os.getppid() == parent:
        pass
    os.killpg(0, signal.SIGKILL)


def _limit_memory(limit: int | None) -> None:
    """Let an allocation of more than twice the limit fail at once; the parent watches the limit itself."""
    if limit is not None and sys.platform == "linux":
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = 2 * limit if hard == resource.RLIM_INFINITY else min(2 * limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
