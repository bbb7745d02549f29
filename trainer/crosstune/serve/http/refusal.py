"""A request that is not answered with a ranking: what is wrong, apart from how a wire format says it."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "invalid",
    "empty",
    "too_many",
    "too_large",
    "too_long",
    "media_type",
    "key",
    "origin",
    "model",
    "path",
    "method",
    "slow_body",
    "overloaded",
    "timeout",
    "backend",
    "internal",
]

STATUS: dict[Kind, int] = {
    "invalid": 422,
    "empty": 422,
    "too_many": 422,
    "too_large": 413,
    "too_long": 422,
    "media_type": 415,
    "key": 401,
    "origin": 403,
    "model": 404,
    "path": 404,
    "method": 405,
    "slow_body": 408,
    "overloaded": 429,
    "timeout": 503,
    "backend": 500,
    "internal": 500,
}
"""What a wire format answers with where it has no status of its own for it."""


class Refusal(Exception):  # noqa: N818
    """Carries no text of a query or document. `retry_after`: whole seconds, for a header."""

    def __init__(self, kind: Kind, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message
        self.retry_after = retry_after
