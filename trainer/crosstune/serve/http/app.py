"""The application: routes of all wire formats, errors in their own form, the page, and the gate before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from crosstune.serve.http import wire
from crosstune.serve.http.gate import OPEN, PAGE_FILES, Gate, refusal_response
from crosstune.serve.http.keys import Keys
from crosstune.serve.http.model import Source
from crosstune.serve.http.refusal import Kind, Refusal
from crosstune.serve.http.reload import Reloader
from crosstune.serve.http.route import LeanRoute
from crosstune.serve.http.search import demo_style
from crosstune.serve.http.service import Service
from crosstune.serve.http.status import status_routes
from crosstune.serve.http.wire.style import Style

PAGE = Path(__file__).parent / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SHOWN_ERRORS = 5
DECLARED: tuple[Kind, ...] = (
    "invalid",
    "empty",
    "too_many",
    "too_long",
    "too_large",
    "media_type",
    "key",
    "origin",
    "model",
    "slow_body",
    "overloaded",
    "timeout",
    "backend",
)


def create_app(
    service: Service, models: Mapping[str, Source], keys: Keys | None, *, local: bool = False
) -> ASGIApp:
    """`models`: where each comes from, looked at for hot reload; `local`: it listens on loopback."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(service.batcher.run()),
            asyncio.create_task(Reloader(service, models, keys).run()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            service.close()

    app = FastAPI(
        title="crosstune",
        version=version("crosstune"),
        description="A reranker behind the wire formats of six services.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    paths = wire.paths(service.options.style)
    if service.searched is not None:
        searching = demo_style(service, service.searched)
        paths |= {searching.prefix + path: (searching, path) for path in searching.paths}
    _add_wire(app, service, paths)
    app.include_router(status_routes(service))
    if not service.options.production:
        _add_page(app)
    _add_errors(app)
    known = OPEN | {"/openapi.json", *app.openapi()["paths"]}
    own_pages = local and keys is None
    return Gate(app, service, keys, own_pages, known, {path: style for path, (style, _) in paths.items()})


def _add_wire(app: FastAPI, service: Service, paths: Mapping[str, tuple[Style, str]]) -> None:
    handlers = {style.name: style.handlers(service) for style, _ in paths.values()}
    for path, (style, own) in paths.items():
        app.router.add_api_route(
            path,
            handlers[style.name][own],
            methods=["POST"],
            route_class_override=LeanRoute,
            tags=[style.name],
            operation_id=path.strip("/").replace("/", "_"),
            summary=f"{own} as {style.name} has it",
            responses=_declared(style),
        )


def _declared(style: Style) -> dict[int | str, dict[str, Any]]:
    """The statuses of refusals with their schema; 422 even where unused, in place of FastAPI's own."""
    statuses = sorted({style.status(kind) for kind in DECLARED} | {422})
    return {status: {"model": style.error, "description": "refused"} for status in statuses}


def _add_page(app: FastAPI) -> None:
    for path in ("/", *PAGE_FILES):
        app.add_api_route(path, _file(PAGE / (path[1:] or "demo.html")), include_in_schema=False)


def _file(path: Path) -> Any:
    async def send() -> Response:
        return FileResponse(
            path, headers={"content-security-policy": POLICY, "referrer-policy": "no-referrer"}
        )

    return send


def _add_errors(app: FastAPI) -> None:
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return refusal_response(request.scope["crosstune.style"], error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return await refused(request, Refusal("invalid", _explain(error)))

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind: Kind = {404: "path", 405: "method"}.get(error.status_code, "invalid")  # type: ignore[assignment]
        message = {
            "path": "no such path; /openapi.json lists them",
            "method": "the method is not allowed here",
            "invalid": "the body cannot be read as JSON",
        }[kind]
        response = await refused(request, Refusal(kind, message))
        if error.headers and "allow" in {name.lower() for name in error.headers}:
            response.headers["allow"] = {k.lower(): v for k, v in error.headers.items()}["allow"]
        return response

    async def failed(request: Request, _: Exception) -> Response:
        return await refused(
            request, Refusal("internal", "an error of the service; its log has the request id")
        )

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)


def _explain(error: RequestValidationError) -> str:
    """Every field that is wrong, and how; never its value, which is a client's text."""
    parts = []
    for detail in error.errors()[:SHOWN_ERRORS]:
        where = ".".join(part[:40] for part in _fields(error.body, detail))
        what = "not valid JSON" if detail["type"] == "json_invalid" else detail["msg"]
        parts.append(f"{where}: {what}" if where and detail["type"] != "json_invalid" else what)
    left = len(error.errors()) - len(parts)
    return "; ".join(parts) + (f"; and {left} more" if left > 0 else "")


def _fields(body: Any, detail: Mapping[str, Any]) -> Iterator[str]:
    """The way to a field through the body. pydantic's has the names of our types in it, too, where a field
    may be of several."""
    parts = detail["loc"][1:]
    for place, part in enumerate(parts, start=1):
        if isinstance(body, dict):
            inside = part in body
        else:
            inside = isinstance(body, list) and isinstance(part, int) and part < len(body)
        if inside:
            body = body[part]
            yield str(part)
        elif place == len(parts) and detail["type"] == "missing":
            yield str(part)
