"""The page's server, on the loopback address alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crosstune.errors import InputError, MissingExtra
from crosstune.review.page import PAGE

if TYPE_CHECKING:
    from crosstune.review.desk import Desk


def make_app(desk: Desk) -> Any:
    """The application: `GET /`, `GET /next?tab=`, `POST /answer`."""
    try:
        from fastapi import Body, FastAPI, HTTPException
        from fastapi.responses import HTMLResponse
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ModuleNotFoundError:
        raise MissingExtra("crosstune review", "serve") from None

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # Another site's page must not reach this server under a name of its own.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])

    @app.get("/", response_class=HTMLResponse)
    def page() -> str:
        return PAGE

    @app.get("/next")
    def following(tab: str) -> dict[str, Any]:
        return desk.next(tab)

    @app.post("/answer")
    def answer(body: dict[str, str] = Body()) -> dict[str, bool]:  # noqa: B008
        try:
            desk.answer(body.get("query_id", ""), body.get("doc_id", ""), body.get("verdict", ""))
        except InputError as error:
            raise HTTPException(422, str(error)) from None
        return {"saved": True}

    return app
