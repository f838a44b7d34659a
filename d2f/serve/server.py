"""A server from start to end: the chain loaded, the port bound, requests answered, what runs finished."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from d2f.api.errors import D2FError
from d2f.chain.chain import Chain
from d2f.serve.app import make_app
from d2f.serve.batching import Batcher
from d2f.serve.guard import AnswerUnread, Guard
from d2f.serve.jobs import Jobs
from d2f.serve.metrics import Metrics
from d2f.serve.settings import ServeSettings

if TYPE_CHECKING:
    from pathlib import Path


class Server:
    """A chain behind a port; `address` is known once it is made.

    `announce`: called once pictures are judged.
    """

    def __init__(self, chain: Chain, settings: ServeSettings, announce: Callable[[], None] = lambda: None) -> None:
        settings.check()
        self._settings, self._announce = settings, announce
        self._socket = _bound(settings)
        host, port = self._socket.getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self.address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
        self.metrics = Metrics()
        self.batcher = Batcher(chain, settings.limits, settings.workers, self.metrics.observe)
        self.metrics.watch(self.batcher)
        self._jobs = Jobs(self.batcher, settings, self.metrics.made)
        self._app = make_app(self.batcher, self._jobs, settings, self.metrics)
        self._guard = Guard(
            self._app, settings, self.metrics.answered, lambda: len(self._uvicorn.server_state.connections)
        )
        self._uvicorn = _Uvicorn(_config(self._guard, settings))

    @property
    def folder(self) -> Path | None:
        """Where archives and the rows of jobs lie while it runs."""
        return self._jobs.folder

    def run(self) -> None:
        """Serve until `stop` is called, SIGINT or SIGTERM come; then finish what runs."""
        logging.getLogger("uvicorn.error").addFilter(_is_worth_a_line)
        try:
            self._jobs.start()
            self.batcher.start()
            asyncio.run(self._serve())
        finally:
            self._socket.close()
            self._jobs.close()
            self.batcher.close()

    def stop(self) -> None:
        """Begin nothing new and end once what runs is finished; called again, end at once."""
        self._uvicorn.force_exit = self._uvicorn.should_exit
        self._uvicorn.should_exit = self._guard.draining = self._app.state.draining = True
        self._jobs.stop()

    async def _serve(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self.stop)
        self._announce()
        await self._uvicorn.serve([self._socket])


class _Uvicorn(uvicorn.Server):
    """Leaves signals to `Server`, which knows what is to be finished."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class BoundedConnection(H11Protocol):
    """A connection that is closed where no request is complete in time: uvicorn waits for a header for ever."""

    idle_seconds = 15.0

    def connection_made(self, transport: Any) -> None:
        """Begin to count."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._look()

    def on_response_complete(self) -> None:
        """Count anew."""
        self._since = self.loop.time()
        super().on_response_complete()

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        between = self.cycle is None or self.cycle.response_complete
        if between and self.loop.time() - self._since > self.idle_seconds:
            self.transport.close()
            return
        self.loop.call_later(self.idle_seconds / 4, self._look)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Whether an operator must see what uvicorn logs: faults of this server, not those of its clients."""
    error = record.exc_info[1] if record.exc_info else None
    return record.levelno >= logging.ERROR and not isinstance(error, AnswerUnread)


def _config(app: Any, settings: ServeSettings) -> uvicorn.Config:
    limits = settings.limits
    bounded = type("Connection", (BoundedConnection,), {"idle_seconds": limits.idle_seconds})
    return uvicorn.Config(
        app,
        http=bounded,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
    )


def _bound(settings: ServeSettings) -> socket.socket:
    """Return a socket that is bound to the address; D2F708 where it is taken or not this machine's."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        words = f"{settings.host} port {settings.port} cannot be listened on: {error.strerror or error}"
        raise D2FError.of("D2F708", words, "choose another with --port N; --port 0 takes a free one") from None
