"""The parent's handle of one worker process: start, requests through shared memory, limits, last output, end."""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from d2f.engine import worker_child as child

TICK = 0.05
"""Seconds between two looks at the time and the memory that a process at work has used."""

LONGEST_TICK = 1.0
"""More seconds between two looks are not counted: the machine, or the parent, was stopped meanwhile."""

GROWN = 0.75
"""Share of the memory between first need and limit; a process that keeps more after an answer is replaced in time."""

KEPT_OUTPUT = 4000
"""Bytes of a process's standard output and error that are kept: the last ones."""

_FROM_OUTSIDE = tuple(-number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM))
"""Ends of a process that may not be its own fault."""

_PROGRAM = "import sys; sys.path.insert(0, {!r}); from d2f.engine.worker_child import serve_parent; serve_parent()"


class Ended(Exception):
    """A process that is of no more use: why (a key of `worker.FAILURE_CODES`), and the label of its stage."""

    def __init__(self, reason: str, message: str, stage: str = "") -> None:
        super().__init__(message)
        self.reason, self.stage = reason, stage


class SharedMemory:
    """One block of memory without a name, replaced by a larger one where a request needs it.

    `number`: of the block, from 1. `size`: its bytes.
    """

    def __init__(self) -> None:
        self.number = self.size = 0
        self.descriptor = -1
        self._map: mmap.mmap | None = None

    def put(self, value: Any) -> tuple[int, int]:
        """Write a pickle and the arrays in it; return start and size of the list of parts, in bytes."""
        arrays: list[pickle.PickleBuffer] = []
        stream = pickle.dumps(value, 5, buffer_callback=arrays.append)
        parts = [memoryview(stream), *(array.raw() for array in arrays)]
        places, end = [], 0
        for part in parts:
            places.append((end, part.nbytes))
            end += -(-part.nbytes // 64) * 64
        index = pickle.dumps(places)
        memory = self._at_least(end + len(index))
        for (start, size), part in zip(places, parts, strict=True):
            memory[start : start + size] = part
        memory[end : end + len(index)] = index
        return end, len(index)

    def drop(self) -> None:
        """Give the memory back."""
        if self._map is not None:
            self._map.close()
            os.close(self.descriptor)
            self._map, self.descriptor, self.size = None, -1, 0

    def _at_least(self, size: int) -> mmap.mmap:
        if self._map is None or self.size < size:
            self.drop()
            self.number += 1
            self.size = max(2**20, 1 << (size - 1).bit_length())
            self.descriptor = anonymous_memory(self.size)
            self._map = mmap.mmap(self.descriptor, self.size)
        return self._map


def anonymous_memory(size: int) -> int:
    """Return a file descriptor of memory that has no name, or has lost it already: nothing can be left behind."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("d2f")  # not bounded by /dev/shm, which a container may have 64 MiB of
    else:
        import _posixshmem

        name = f"/d2f-{secrets.token_hex(8)}"
        descriptor = int(_posixshmem.shm_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        _posixshmem.shm_unlink(name)
    os.ftruncate(descriptor, size)
    return descriptor


def private_memory(pid: int) -> int:
    """Return the bytes of memory that a process has for itself, 0 where the system does not say."""
    if sys.platform == "linux":
        with suppress(OSError, ValueError):
            resident, shared = Path(f"/proc/{pid}/statm").read_bytes().split()[1:3]
            return (int(resident) - int(shared)) * mmap.PAGESIZE
    elif sys.platform == "darwin":
        usage = (ctypes.c_uint64 * 32)()  # struct rusage_info_v0 of <sys/resource.h>: 16 bytes, then 10 numbers
        if ctypes.CDLL(None).proc_pid_rusage(pid, 0, ctypes.byref(usage)) == 0:
            return int(usage[9])  # ri_phys_footprint
    return 0


class WorkerProcess:
    """A process that was started, the channel to it and what it writes.

    `environment`: variables besides the parent's own. `aborted`: ended because nobody waits for its answer any more.
    """

    def __init__(self, environment: Mapping[str, str], memory_limit: int | None) -> None:
        self.aborted = False
        self.memory_limit = memory_limit
        self._first_need: int | None = None
        self._known_memory = 0
        self._tail = b""
        _open_standard_streams()
        self._channel, channel = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        self._out, out = os.pipe()
        status = anonymous_memory(child.STATUS_SIZE)
        self._status = mmap.mmap(status, child.STATUS_SIZE)
        passed = (channel.fileno(), lifeline, status)
        program = _PROGRAM.format(str(Path(__file__).parents[2]))
        try:
            # In a session of its own: a terminal's Ctrl-C does not reach it, and what it starts can be ended with it.
            self._popen = subprocess.Popen(
                [sys.executable, "-u", "-c", program, *map(str, passed)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=passed,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        except BaseException:
            self._close_files()
            raise
        finally:
            channel.close()
            for descriptor in (lifeline, out, status):
                os.close(descriptor)
        self.pid = self._popen.pid
        self._channel.setblocking(False)
        os.set_blocking(self._out, False)
        self._poll = select.poll()
        self._poll.register(self._channel, select.POLLIN)
        self._poll.register(self._out, select.POLLIN)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._popen.poll() is None

    def has_grown(self) -> bool:
        """Whether the process, which is idle, has used most of what it may use beyond its first need."""
        if self.memory_limit is None:
            return False
        used = private_memory(self.pid)
        if self._first_need is None:
            self._first_need = used
        return used > self._first_need + GROWN * (self.memory_limit - self._first_need)

    def check_memory(self) -> None:
        """Raise `Ended` where the process uses more memory than its limit."""
        if self.memory_limit is not None and private_memory(self.pid) > self.memory_limit:
            stage, limit = self.mark()[2], self.memory_limit / 2**20
            raise Ended("memory", f"the worker process used more than {limit:,.0f} MiB" + _during(stage), stage)

    def send(self, memory: SharedMemory, place: tuple[int, int]) -> None:
        """Send a request that `SharedMemory.put` has written."""
        descriptors = [] if memory.number == self._known_memory else [memory.descriptor]
        with suppress(OSError):  # it died meanwhile: `receive` says how
            socket.send_fds(self._channel, [child.REQUEST.pack(*place)], descriptors)
        self._known_memory = memory.number

    def receive(self, time_limit: float | None) -> tuple[bytes, Any]:
        """Return kind and value of the reply; raise `Ended` where there will be none."""
        data, limits = bytearray(), _Limits(self, time_limit)
        while True:
            alive = self.is_alive()
            ready = {descriptor for descriptor, _ in self._poll.poll(1000 * TICK)}
            if self._out in ready:
                self._read_output()
            if self._channel.fileno() in ready:
                data += self._chunk()
                if (reply := _reply(data)) is not None:
                    if reply[0] == child.READY:
                        self.check_memory()
                    return self._unpickled(*reply)
            elif not alive:
                raise self.ended()
            limits.check()

    def mark(self) -> tuple[int, float, str]:
        """Return number, time limit and label of the stage that runs, as the process stated it last."""
        number, limit, size = child.STATUS.unpack_from(self._status)
        label = self._status[child.STATUS.size : child.STATUS.size + min(size, child.LABEL_SIZE)]
        return number, limit, label.decode("utf-8", "replace")

    def ended(self) -> Ended:
        """Say how the process died."""
        self._wait(1.0)
        status = self._popen.poll()
        if status is None:
            how = "closed its channel"
        else:
            how = f"ended with exit code {status}" if status >= 0 else f"was ended by {_signal_name(-status)}"
        stage, reason = self.mark()[2], "killed" if status in _FROM_OUTSIDE else "died"
        return Ended(reason, f"the worker process {how}" + _during(stage), stage)

    def output(self) -> str:
        """Return the end of what the process has written."""
        self._read_output()
        return self._tail.decode("utf-8", "replace")

    def kill(self) -> None:
        """End the process, and those that it started."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)

    def abandon(self) -> None:
        """Let a process that hangs write where it is, which Python's fault handler does at this signal."""
        self._popen.send_signal(signal.SIGABRT)
        self._wait(1.0)

    def close(self, grace: float = 2.0) -> None:
        """Let an idle process end by itself, for so many seconds."""
        self._channel.close()
        self._wait(grace)
        self.end()

    def end(self) -> str:
        """End the process, however it is, and return its last output."""
        self.kill()
        self._popen.wait()
        output = self.output()
        self._close_files()
        return output

    def _close_files(self) -> None:
        self._channel.close()
        self._status.close()
        os.close(self._lifeline)
        os.close(self._out)

    def _chunk(self) -> bytes:
        with suppress(ConnectionError):
            if data := self._channel.recv(2**20):
                return data
        raise self.ended()

    def _unpickled(self, kind: bytes, payload: bytearray) -> tuple[bytes, Any]:
        try:
            return kind, pickle.loads(payload)
        except Exception as error:
            message = f"the worker process gave an answer that cannot be read ({type(error).__name__}: {error})"
            raise Ended("died", message, "") from None

    def _wait(self, seconds: float) -> None:
        """Wait for the end of the process, reading what it writes meanwhile."""
        end = time.monotonic() + seconds
        while self.is_alive() and time.monotonic() < end:
            self._read_output()
            time.sleep(0.005)

    def _read_output(self) -> None:
        with suppress(BlockingIOError):
            for _ in range(64):
                data = os.read(self._out, 65536)
                if not data:
                    with suppress(KeyError):
                        self._poll.unregister(self._out)
                    return
                self._tail = (self._tail + data)[-KEPT_OUTPUT:]


def _open_standard_streams() -> None:
    """Have file descriptors 0 to 2 open, where the parent was started without: they are the child's own ones."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(descriptor)


class _Limits:
    """What a process may use from now on, looked at every `TICK`."""

    def __init__(self, process: WorkerProcess, time_limit: float | None) -> None:
        self._process, self._time_limit = process, time_limit
        self._looked = time.monotonic()
        self._seconds = self._stage_seconds = 0.0
        self._mark = process.mark()

    def check(self) -> None:
        now = time.monotonic()
        if now - self._looked < TICK:
            return
        step, self._looked = min(now - self._looked, LONGEST_TICK), now
        mark = self._process.mark()
        self._seconds += step
        self._stage_seconds = self._stage_seconds + step if mark == self._mark else 0.0
        self._mark = mark
        _, stage_limit, stage = mark
        for used, limit in ((self._stage_seconds, stage_limit), (self._seconds, self._time_limit)):
            if limit and used > limit:
                self._process.abandon()
                raise Ended("time", f"{stage or 'the worker process'} took longer than {limit:g} s", stage)
        self._process.check_memory()


def _during(stage: str) -> str:
    return f" during {stage}" if stage else ""


def _reply(data: bytearray) -> tuple[bytes, bytearray] | None:
    """Return kind and payload of a reply, None while bytes are missing."""
    start = child.REPLY.size
    if len(data) < start:
        return None
    kind, size = child.REPLY.unpack_from(data)
    return (kind, data[start:]) if len(data) >= start + size else None


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
