"""Figures of a running server, in the format that Prometheus reads."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from d2f.api.rows import Row
from d2f.serve.batching import Batcher
from d2f.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATHS = frozenset({"/", "/v1/judge", "/v1/chain", "/v1/jobs", "/healthz", "/readyz", "/metrics", "/signin"})
SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counts what one server does."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("d2f_requests", "Requests answered.", ["path", "status"], registry=self._registry)
        self._pictures = Counter("d2f_pictures", "Rows made, by verdict or error.", ["result"], registry=self._registry)
        self._seconds = Histogram(
            "d2f_request_seconds",
            "From a request's first byte to its answer.",
            ["path"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._figures = {
            "wait": Histogram("d2f_queue_seconds", "In the queue.", buckets=SECONDS, registry=self._registry),
            "batch": Histogram(
                "d2f_batch_pictures", "Given to a worker together.", buckets=(1, 2, 4, 8, 16), registry=self._registry
            ),
        }

    def watch(self, batcher: Batcher) -> None:
        """Show the state of a batcher whenever somebody asks."""
        chain = batcher.chain
        Info("d2f", "What is served.", registry=self._registry).info(
            {"chain": chain.name, "digest": chain.digest, "version": __version__}
        )
        for name, words, value in (
            ("d2f_queue_pictures", "Pictures that wait.", lambda: batcher.waiting),
            ("d2f_worker_processes", "Worker processes that run.", lambda: len(batcher.processes)),
            ("d2f_workers_replaced", "Worker processes replaced since the start.", lambda: batcher.replaced),
        ):
            Gauge(name, words, registry=self._registry).set_function(value)

    def observe(self, name: str, value: float) -> None:
        """Take a figure of the batcher."""
        self._figures[name].observe(value)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = path if path in PATHS else "/v1/jobs/…" if path.startswith("/v1/jobs/") else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def made(self, row: Row) -> None:
        """Count a row."""
        self._pictures.labels(row.error.code if row.error is not None else str(row.verdict)).inc()

    def text(self) -> bytes:
        """Return all figures."""
        return generate_latest(self._registry)
