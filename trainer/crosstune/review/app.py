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

    def page() -> Any:
        return HTMLResponse(PAGE)

    def following(tab: str) -> dict[str, Any]:
        return desk.next(tab)

    def answer(body: dict[str, str] = Body()) -> dict[str, bool]:  # noqa: B008
        try:
            desk.answer(body.get("query_id", ""), body.get("doc_id", ""), body.get("verdict", ""))
        except InputError as error:
            raise HTTPException(422, str(error)) from None
        return {"saved": True}

    # The annotations are names of this function, which FastAPI cannot look up as text.
    answer.__annotations__ = {"body": dict[str, str]}
    following.__annotations__ = {"tab": str}
    page.__annotations__ = {}
    app.get("/")(page)
    app.get("/next")(following)
    app.post("/answer")(answer)
    return app
