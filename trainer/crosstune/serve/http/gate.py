"""The gate before the application: every limit that holds before a body is parsed.

It reads the whole body within its limits, gives the request its id and its line in the log, cancels the
work when the client goes, and answers in the wire format of the path.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crosstune.serve.http.exchange import CURRENT, Exchange, request_id
from crosstune.serve.http.listener import is_loopback
from crosstune.serve.http.logs import log, log_error
from crosstune.serve.http.refusal import STATUS, Kind, Refusal

if TYPE_CHECKING:
    from crosstune.serve.http.keys import Keys
    from crosstune.serve.http.service import Service
    from crosstune.serve.http.wire.style import Style

PAGE_FILES = ("/demo.css", "/demo.js", "/demo-rows.js", "/demo-search.js")
OPEN = frozenset({"/health", "/ready", "/tei/health", "/", *PAGE_FILES})
"""Paths that need no key: probes, and the page that asks for one."""
QUIET = frozenset({"/health", "/ready", "/metrics", "/tei/health", "/tei/metrics"})
"""Paths that are asked every few seconds: only what is wrong with them is logged."""
CLIENT_GONE = 499
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ClientGone(Exception):  # noqa: N818
    """Nobody waits for the answer."""


class Gate:
    """ASGI application around the application."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        keys: Keys | None,
        own_pages: bool,
        known: frozenset[str],
        styles: Mapping[str, Style],
    ) -> None:
        """`own_pages`: pages of other sites may not ask; `known`: the paths that logs and metrics may name;
        `styles`: the format of each that takes texts."""
        self._app = app
        self._service = service
        self._keys = keys
        self._own_pages = own_pages
        self._known = known
        self._styles = styles
        self._pending = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        style = self._styles.get(scope["path"])
        headers = Headers(scope=scope)
        exchange = Exchange(
            request_id(headers.get("x-request-id")),
            scope["method"] if scope["method"] in METHODS else "other",
            scope["path"] if scope["path"] in self._known else "other",
            style.name if style else "none",
        )
        scope["crosstune.style"] = style
        CURRENT.set(exchange)
        answer = _Answer(exchange, send, self._service.options.read_seconds)
        held = 0
        try:
            self._check(scope, headers, exchange)
            body = await self._read(receive) if scope["method"] == "POST" else b""
            held = len(body)
            await self._run(scope, body, receive, answer)
        except Refusal as refusal:
            await answer.refuse(style, refusal)
        except ClientGone:
            exchange.status = CLIENT_GONE
            self._service.metrics.gone()
        except Exception as error:
            log_error("request failed", error, request_id=exchange.request_id)
            await answer.refuse(
                style, Refusal("internal", "an error of the service; its log has the request id")
            )
        finally:
            self._pending -= held
            self._record(exchange)

    def _check(self, scope: Scope, headers: Headers, exchange: Exchange) -> None:
        """What the head of a request already says."""
        if self._keys is not None and scope["path"] not in OPEN:
            exchange.key = self._keys.name_of(headers.get("authorization"))
            if exchange.key is None:
                raise Refusal("key", "no valid API key; send the header Authorization: Bearer KEY")
        if scope["method"] != "POST" or scope["path"] not in self._styles:
            return
        if self._own_pages and _is_foreign(headers.get("origin")):
            raise Refusal(
                "origin", "pages of other sites may not ask a service without keys; give --keys FILE"
            )
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise Refusal("media_type", "compressed bodies are not taken; send the JSON as it is")
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json":
            raise Refusal("media_type", "the header Content-Type: application/json was expected")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > self._limit:
            raise Refusal("too_large", f"the body is larger than {self._limit} bytes")
        self._service.batcher.check()

    @property
    def _limit(self) -> int:
        return self._service.options.max_body_bytes

    async def _read(self, receive: Receive) -> bytes:
        """The whole body; what it holds in memory counts from its first byte on."""
        chunks: list[bytes] = []
        size = 0
        deadline = time.monotonic() + self._service.options.read_seconds
        complete = False
        try:
            while True:
                try:
                    message = await asyncio.wait_for(receive(), max(0.001, deadline - time.monotonic()))
                except asyncio.TimeoutError:
                    raise Refusal(
                        "slow_body", f"the body took longer than {self._service.options.read_seconds:g} s"
                    ) from None
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                self._pending += len(chunk)
                chunks.append(chunk)
                self._check_size(size)
                if not message.get("more_body", False):
                    complete = True
                    return b"".join(chunks)
        finally:
            if not complete:
                self._pending -= size

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise Refusal("too_large", f"the body is larger than {self._limit} bytes")
        if self._pending > self._service.options.max_pending_bytes:
            raise Refusal("overloaded", "too many large requests at once; try again later", retry_after=1)

    async def _run(self, scope: Scope, body: bytes, receive: Receive, answer: _Answer) -> None:
        """Runs the application, and cancels it when the client goes before its answer began."""
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        gone = asyncio.Event()

        async def replay() -> Message:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        work = asyncio.create_task(self._call(scope, replay, answer.send))
        watch = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not answer.complete:
                gone.set()
                work.cancel()
                await asyncio.wait({work})
                raise ClientGone
            await work
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """HEAD is answered as GET is (RFC 9110, 9.3.2); the server below leaves the body out."""
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)

    def _record(self, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        self._service.metrics.exchange(exchange, seconds)
        if exchange.route in QUIET and exchange.status == 200:
            return
        times = {"ms": seconds} | {f"{name}_ms": value for name, value in exchange.stages.items()}
        log(
            "request",
            request_id=exchange.request_id,
            method=exchange.method,
            route=exchange.route,
            style=exchange.style,
            status=exchange.status,
            key=exchange.key,
            **{name: round(value * 1000, 1) for name, value in times.items()},
            **exchange.details,
        )


def _is_foreign(origin: str | None) -> bool:
    """Whether a browser asks for a page that is not of this machine. By its name in DNS such a page can lead
    to this address, and is then of the same origin for the browser; a program sends no such header."""
    try:
        return origin is not None and not is_loopback(urlsplit(origin).hostname or "")
    except ValueError:
        return True


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Answer:
    """Sends, with the headers that every answer has, and gives up on a client that does not read."""

    def __init__(self, exchange: Exchange, send: Send, seconds: float) -> None:
        self._exchange = exchange
        self._send = send
        self._seconds = seconds
        self._began = False
        self.complete = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._began = True
            self._exchange.status = message["status"]
            self._add_headers(message)
        try:
            await asyncio.wait_for(self._send(message), self._seconds)
        except asyncio.TimeoutError:
            raise ClientGone from None
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True

    async def refuse(self, style: Style | None, refusal: Refusal) -> None:
        if self._began:
            return
        response = refusal_response(style, refusal)
        if refusal.kind in ("too_large", "slow_body"):  # what is left of the body is not worth reading
            response.headers["connection"] = "close"
        try:
            await response({"type": "http"}, _nothing, self.send)
        except ClientGone:
            self._exchange.status = CLIENT_GONE

    def _add_headers(self, message: Message) -> None:
        headers = MutableHeaders(raw=message.setdefault("headers", []))
        headers["x-request-id"] = self._exchange.request_id
        headers["x-content-type-options"] = "nosniff"
        headers.setdefault("cache-control", "no-store")
        if stages := self._exchange.stages:
            headers["server-timing"] = ", ".join(
                f"{name};dur={value * 1000:.1f}" for name, value in stages.items()
            )


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def refusal_response(style: Style | None, refusal: Refusal) -> JSONResponse:
    """The refusal in the wire format of its path; `{"error": ...}` where there is none."""
    status, body = (
        style.refusal(refusal.kind, refusal.message) if style else _plain(refusal.kind, refusal.message)
    )
    response = JSONResponse(body, status)
    if refusal.retry_after is not None:
        response.headers["retry-after"] = str(refusal.retry_after)
    if refusal.kind == "key":
        response.headers["www-authenticate"] = "Bearer"
    return response


def _plain(kind: Kind, message: str) -> tuple[int, dict[str, Any]]:
    return STATUS[kind], {"error": message}
