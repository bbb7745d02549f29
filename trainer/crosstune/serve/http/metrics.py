"""What Prometheus reads. Labels are styles, statuses and configured model names: never a client's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from crosstune.serve.http.exchange import Exchange

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TOKENS = (64, 256, 1024, 2048, 4096, 8192, 16384)


class Metrics:
    """One registry a service, so that two in one process do not mix."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "crosstune_requests", "Answered requests.", ["style", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "crosstune_request_seconds",
            "From the head of a request to the end of its answer, of requests answered with 200.",
            ["style"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._gone = Counter(
            "crosstune_clients_gone", "Requests given up because the client went.", registry=self.registry
        )
        self._queue_wait = Histogram(
            "crosstune_queue_wait_seconds",
            "From submission to the first batch.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.queued_seconds = Gauge(
            "crosstune_queued_seconds", "The engine's time that waiting work needs.", registry=self.registry
        )
        self._batch_tokens = Histogram(
            "crosstune_batch_tokens",
            "Tokens of a batch.",
            ["model"],
            buckets=TOKENS,
            registry=self.registry,
        )
        self._batch_requests = Histogram(
            "crosstune_batch_requests",
            "Requests that share a batch.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self._engine_seconds = Counter(
            "crosstune_engine_seconds", "Time spent scoring.", ["model"], registry=self.registry
        )
        self._tokens = Counter("crosstune_tokens", "Tokens scored.", ["model"], registry=self.registry)
        self._documents = Counter(
            "crosstune_documents", "Query and document pairs answered.", ["model"], registry=self.registry
        )
        self._windowed = Counter(
            "crosstune_documents_windowed",
            "Pairs whose document was read in several windows.",
            ["model"],
            registry=self.registry,
        )
        self._cut = Counter(
            "crosstune_documents_cut",
            "Pairs that the length rule shortened.",
            ["model"],
            registry=self.registry,
        )
        self._reloads = Counter(
            "crosstune_reloads", "Changed exports and key files.", ["result"], registry=self.registry
        )

    def exchange(self, exchange: Exchange, seconds: float) -> None:
        self._requests.labels(exchange.style, str(exchange.status)).inc()
        if exchange.status == 200:
            self._seconds.labels(exchange.style).observe(seconds)
        if exchange.queue_seconds is not None:
            self._queue_wait.observe(exchange.queue_seconds)

    def gone(self) -> None:
        self._gone.inc()

    def batch(self, model: str, tokens: int, requests: int, seconds: float) -> None:
        self._batch_tokens.labels(model).observe(tokens)
        self._batch_requests.observe(requests)
        self._engine_seconds.labels(model).inc(seconds)
        self._tokens.labels(model).inc(tokens)

    def documents(self, model: str, count: int, windowed: int, cut: int) -> None:
        self._documents.labels(model).inc(count)
        self._windowed.labels(model).inc(windowed)
        self._cut.labels(model).inc(cut)

    def reload(self, result: str) -> None:
        self._reloads.labels(result).inc()

    def text(self) -> bytes:
        text: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call]
        return text
