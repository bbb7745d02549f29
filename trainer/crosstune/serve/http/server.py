"""`crosstune serve`: loads the models, then takes requests until a signal."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn

from crosstune.errors import InputError
from crosstune.serve.http.app import create_app
from crosstune.serve.http.keys import Keys
from crosstune.serve.http.listener import is_loopback, listen
from crosstune.serve.http.logs import log, plain_lines_logged, take_over_library_logs
from crosstune.serve.http.model import Source, load, sources
from crosstune.serve.http.options import Options
from crosstune.serve.http.protocol import HEAD_BYTES, guarded_protocol
from crosstune.serve.http.searched import OpenSearched
from crosstune.serve.http.service import Service
from crosstune.serve.http.wire import check_style


def serve(
    exports: Sequence[str],
    backends: Sequence[str],
    options: Options,
    open_searched: OpenSearched | None = None,
) -> None:
    """Blocks until SIGTERM, after which it returns, or SIGINT, after which it raises KeyboardInterrupt.

    `exports`, `backends`: as `model.sources` takes them; `open_searched`: opens what the demo page searches.
    Raises `InputError` for a folder, key file, collection or address that cannot be used.
    """
    if options.production and open_searched is not None:
        raise InputError(
            "--collection and --production: the collection is searched from the demo page, which "
            "--production leaves out; give one of the two"
        )
    check_style(options.style, "--style")
    models = sources(exports, backends)
    keys = Keys(options.keys) if options.keys else None
    take_over_library_logs()
    with plain_lines_logged():
        _run(models, keys, options, open_searched)


def _run(
    models: Mapping[str, Source], keys: Keys | None, options: Options, open_searched: OpenSearched | None
) -> None:
    started = time.perf_counter()
    engines = {name: load(name, of.folder, of.backend) for name, of in models.items()}
    searched = None if open_searched is None else open_searched(next(iter(engines.values())).recipe)
    if searched is not None:
        log(
            "collection",
            name=searched.name,
            passages=searched.passages,
            first_stage=searched.first_stage,
            note=searched.note,
        )
    service = Service(engines, options, searched)
    listener = listen(options.host, options.port, f"--host {options.host} --port {options.port}")
    host = listener.getsockname()[0]
    local = is_loopback(host)
    if keys is None and not local:
        log("no keys: whoever reaches this address may use it; give --keys FILE", host=host)
    config = uvicorn.Config(
        create_app(service, models, keys, local=local),
        http=guarded_protocol(options.read_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=options.max_connections,
        timeout_graceful_shutdown=options.shutdown_seconds,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    server = Server(config, service, started)
    asyncio.run(server.serve(sockets=[listener]))
    log("stopped")
    if server.interrupted:
        raise KeyboardInterrupt


class Server(uvicorn.Server):
    """uvicorn with a time to drain: load balancers see `/ready` fail before the door closes."""

    def __init__(self, config: uvicorn.Config, service: Service, began: float) -> None:
        super().__init__(config)
        self.interrupted = False
        self._service = service
        self._began = began

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Says where it listens, once it does."""
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            log(
                "serving",
                url=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}",
                models=list(self._service.engines),
                seconds=round(time.perf_counter() - self._began, 2),
            )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a signal that was obeyed is not raised again afterwards."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _: FrameType | None) -> None:
        second = self._service.draining
        self._service.draining = True
        self.interrupted = number == signal.SIGINT
        if second and self.should_exit:
            self.force_exit = True
        elif second or self._service.options.drain_seconds <= 0:
            self.should_exit = True
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(self._service.options.drain_seconds, setattr, self, "should_exit", True)
