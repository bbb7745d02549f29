"""Scores out of an answer, or what is wrong with it: nothing is guessed and nothing counts 0 in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crosstune.endpoints.answers import SHOWN, BadAnswer, shape
from crosstune.rerankers.styles import Style

LARGEST = 3.4e38
"""Runs hold fp32."""


def scores_of(style: Style, payload: Any, count: int) -> list[float]:
    """The scores in the order of the documents sent, whatever the order of the answer.

    Raises `BadAnswer` unless there is one finite number for each of the `count` documents.
    """
    rows = payload if style.rows is None else payload.get(style.rows) if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        raise BadAnswer(shape(payload), f"the style {style.name}: {_wanted(style)}; is it another --style?")
    pairs = []
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or "index" not in row or style.score not in row:
            raise BadAnswer(f"result {place} as {shape(row)}", f'"index" and "{style.score}" in each result')
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


def _wanted(style: Style) -> str:
    return "a bare list" if style.rows is None else f'an object with a list under "{style.rows}"'
