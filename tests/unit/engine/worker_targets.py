"""Targets of worker processes that answer, and that misbehave in every way that matters."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError, Exit
from d2f.engine.worker_child import running


def make(arguments: Any) -> Callable[[Any], Any]:
    """Return a handler that does what the first word of a request says."""

    def handle(request: tuple[Any, ...]) -> Any:
        name, *rest = request
        return ACTIONS[name](*rest)

    ACTIONS["arguments"] = lambda: arguments
    return handle


def stage(label: str, limit: float | None, *request: Any) -> Any:
    with running(label, limit):
        return ACTIONS[request[0]](*request[1:])


def two_stages(limit: float, seconds: float) -> str:
    with running("outer"):
        for name in ("first", "second", "third"):
            with running(name, limit):
                time.sleep(seconds)
    return "done"


def hang() -> None:
    while True:
        pass


def hang_with_the_interpreters_lock(mark: str) -> None:
    Path(mark).write_text("")
    ctypes.PyDLL(None).sleep(1000)


def hang_alone(mark: str) -> None:
    Path(mark).write_text("")
    hang()


def die(code: int) -> None:
    os._exit(code)


def segfault() -> None:
    ctypes.string_at(0)


def kill(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(100)


def grow(mib: int, seconds: float = 100.0) -> str:
    block = bytearray(0)
    for _ in range(mib // 16):
        block += b"x" * (16 * 2**20)
    time.sleep(seconds)
    return f"{len(block)}"


def keep(mib: int) -> int:
    KEPT.append(b"x" * (mib * 2**20))
    return os.getpid()


def claim(mib: int) -> int:
    return len(bytearray(mib * 2**20))


def speak(text: str) -> str:
    """Write by every way to a standard stream, a grandchild's included."""
    print(f"{text} of print")
    os.write(1, f"{text} of fd 1\n".encode())
    os.write(2, f"{text} of fd 2\n".encode())
    libc = ctypes.CDLL(None)
    libc.printf(f"{text} of printf\n".encode())
    libc.fflush(None)
    subprocess.run([sys.executable, "-c", f"print('{text} of a grandchild')"], check=True)
    return text


def speak_and_die(text: str) -> None:
    speak(text)
    os._exit(7)


def flood(megabytes: int) -> int:
    for _ in range(megabytes):
        os.write(1, b"flood\n" * (2**20 // 6))
    return megabytes


def grandchild(mark: str) -> int:
    """Start a process that stays, and holds all that can be inherited."""
    code = "import time; time.sleep(1000)"
    started = subprocess.Popen([sys.executable, "-c", code], close_fds=False)
    KEPT.append(started)
    Path(mark).write_text(str(started.pid))
    return started.pid


def fork_and_die() -> None:
    """Leave a fork that holds the channel."""
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(5)


def add(array: Any) -> int:
    return int(array.sum(dtype="int64"))


def look(array: Any) -> tuple[bool, str, tuple[int, ...]]:
    return bool(array.flags.writeable), str(array.dtype), array.shape


def problems() -> None:
    raise D2FError.of("D2F502", "the weights are not on this machine", "fetch them", exit=Exit.PLUGIN)


def fail(error: str) -> None:
    raise {"ValueError": ValueError, "MemoryError": MemoryError, "SystemExit": SystemExit}[error]("it is broken")


def lambda_answer() -> Any:
    return lambda: None


class Strange:
    """Unpickles in a worker only."""

    def __reduce__(self) -> Any:
        return _in_a_worker, (os.getpid(),)


def _in_a_worker(pid: int) -> int:
    assert pid == os.getpid(), "made elsewhere"
    return pid


KEPT: list[Any] = []

ACTIONS: dict[str, Callable[..., Any]] = {
    "echo": lambda value: value,
    "pid": os.getpid,
    "environment": lambda name: os.environ.get(name),
    "sleep": lambda seconds: time.sleep(seconds) or seconds,
    "input": lambda: sys.stdin.read(),
    "descriptors": lambda: len(os.listdir("/proc/self/fd")),
    "interrupted": lambda: os.kill(os.getpid(), signal.SIGINT) or "still here",
    "signal": lambda: signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
    "strange": Strange,
    "lambda": lambda_answer,
} | {
    function.__name__: function
    for function in (
        add,
        claim,
        die,
        fail,
        flood,
        fork_and_die,
        grandchild,
        grow,
        hang,
        hang_alone,
        hang_with_the_interpreters_lock,
        keep,
        kill,
        look,
        problems,
        segfault,
        speak,
        speak_and_die,
        stage,
        two_stages,
    )
}


def die_at_once(_: Any) -> None:
    os._exit(9)


def raise_at_once(_: Any) -> None:
    raise ValueError("not to be had")


def hang_at_once(_: Any) -> None:
    time.sleep(1000)


def problem_at_once(_: Any) -> None:
    problems()


def too_large(mib: int) -> Callable[[Any], Any]:
    keep(mib)
    return make(None)


def die_loading(_: Any) -> None:
    with running("loading"):
        os._exit(3)
