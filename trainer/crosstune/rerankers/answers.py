"""Scores out of an answer, or what is wrong with it: nothing is guessed and nothing counts 0 in silence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from crosstune.rerankers.styles import Style

SHOWN = 160
LARGEST = 3.4e38
"""Runs hold fp32."""


class BadAnswer(Exception):  # noqa: N818
    """`found` and `expected` in words; who asked adds where it came from and for which query."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"found {found}; expected {expected}")


def read_json(body: bytes, media_type: str) -> Any:
    """The JSON of a body. Raises `BadAnswer` for other text, and for NaN or Infinity, which are no JSON."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        kind = media_type or "no content type"
        raise BadAnswer(
            f"{kind} that begins with {excerpt(body)!r}", "JSON: a proxy's or login page, or another path?"
        ) from None


def _no_constant(name: str) -> NoReturn:
    raise BadAnswer(f"a score that is {name}", "finite numbers")


def scores_of(style: Style, payload: Any, count: int) -> list[float]:
    """The scores in the order of the documents sent, whatever the order of the answer.

    Raises `BadAnswer` unless there is one finite number for each of the `count` documents.
    """
    rows = payload if style.rows is None else payload.get(style.rows) if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        raise BadAnswer(_shape(payload), f"the style {style.name}: {_wanted(style)}; is it another --style?")
    pairs = []
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or "index" not in row or style.score not in row:
            raise BadAnswer(f"result {place} as {_shape(row)}", f'"index" and "{style.score}" in each result')
        pairs.append((row["index"], row[style.score]))
    return by_index(pairs, count)


def by_index(pairs: Sequence[tuple[Any, Any]], count: int) -> list[float]:
    """`(index, score)` in any order to scores by index. Raises `BadAnswer` as `scores_of` does."""
    scores: dict[int, float] = {}
    for index, score in pairs:
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count:
            raise BadAnswer(
                f"index {index!r}", f"whole numbers from 0 to {count - 1}, the places of the texts"
            )
        if index in scores:
            raise BadAnswer(f"index {index} twice among {len(pairs)} results", "each document once")
        scores[index] = _finite(index, score)
    if len(scores) != count:
        missing = next(index for index in range(count) if index not in scores)
        raise BadAnswer(
            f"{len(scores)} results for {count} documents, none for index {missing}",
            "one a document: an endpoint that returns only its best ones cannot be measured",
        )
    return [scores[index] for index in range(count)]


def _finite(index: int, score: Any) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise BadAnswer(f"the score {score!r} ({type(score).__name__}) for index {index}", "a number")
    if not abs(score) <= LARGEST:  # nor is NaN
        raise BadAnswer(
            f"the score {str(score)[:SHOWN]} for index {index}", "a finite number that 32 bits hold"
        )
    return float(score)


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:8])) or 'no field'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"{type(value).__name__} {str(value)[:40]!r}"


def _wanted(style: Style) -> str:
    return "a bare list" if style.rows is None else f'an object with a list under "{style.rows}"'


def excerpt(body: bytes) -> str:
    """The beginning of a body, on one line and without control characters."""
    text = " ".join(body[: 4 * SHOWN].decode("utf-8", "replace").split())
    return "".join(character for character in text if character.isprintable())[:SHOWN]
