"""The JSON of an answer, or what is wrong with it."""

from __future__ import annotations

import json
from typing import Any, NoReturn

SHOWN = 160


class BadAnswer(Exception):  # noqa: N818
    """`found` and `expected` in words; who asked adds where it came from and for what."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"found {found}; expected {expected}")


def read_json(body: bytes, media_type: str, key: str | None) -> Any:
    """The JSON of a body. Raises `BadAnswer`, which does not quote the API `key`, for other text, and for NaN
    or Infinity, which are no JSON."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        kind = media_type or "no content type"
        raise BadAnswer(
            f"{kind} that begins with {excerpt(body, key)!r}",
            "JSON: a proxy's or login page, or another path?",
        ) from None


def _no_constant(name: str) -> NoReturn:
    raise BadAnswer(f"a score that is {name}", "finite numbers")


def shape(value: Any) -> str:
    """What a JSON value is, in words, for a message."""
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:8])) or 'no field'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"{type(value).__name__} {str(value)[:40]!r}"


def excerpt(body: bytes, key: str | None = None) -> str:
    """The beginning of a body, on one line, without control characters and with `***` for the API `key`, of
    which a cut would else leave a part."""
    if key:
        body = body.replace(key.encode(), b"***")
    text = " ".join(body[: 4 * SHOWN].decode("utf-8", "replace").split())
    return "".join(character for character in text if character.isprintable())[:SHOWN]


def count_in(value: Any, *names: str) -> int | None:
    """The number of 0 or more under these names, one below the other; `None` where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    counts = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53
    return int(value) if counts else None
