"""What callers give to `Reranker`: checked, and held as lists, before anything is scored."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from crosstune.errors import InputError
from crosstune.serve.fusion import checked_scores
from crosstune.serve.ranked import Document, text_of

MOST_DOCUMENTS = 1_000_000
"""A call."""
MOST_CHARACTERS = 100_000_000
"""A text."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Candidates:
    """One query with its documents, their texts, and their first-stage scores where they were given."""

    query: str
    documents: list[Document]
    texts: list[str]
    first: list[float] | None

    def pairs(self) -> list[tuple[str, str]]:
        return [(self.query, text) for text in self.texts]


def checked_candidates(
    query: str,
    documents: Iterable[Document],
    text_field: str,
    first_stage_scores: Iterable[float] | None,
) -> Candidates:
    """Raises `InputError`, with the index for a document or score, for what is no such thing, and beyond the
    caps. Quotes no text."""
    checked_text(query, "query")
    if not isinstance(text_field, str):
        raise InputError(f"text_field: a string was expected, found {type(text_field).__name__}")
    found = listed(documents, "documents", "strings or mappings")
    texts = [
        checked_text(text_of(document, index, text_field), f"document {index}")
        for index, document in enumerate(found)
    ]
    first = None
    if first_stage_scores is not None:
        first = checked_scores(listed(first_stage_scores, "first_stage_scores", "numbers"), len(texts))
    return Candidates(query, found, texts, first)


def checked_pairs(pairs: Iterable[Sequence[str]]) -> list[tuple[str, str]]:
    """Raises `InputError` with the index for what is no pair of texts. Quotes no text."""
    return [
        _pair(pair, index) for index, pair in enumerate(listed(pairs, "pairs", "(query, document) pairs"))
    ]


def _pair(pair: Sequence[str], index: int) -> tuple[str, str]:
    texts: list[Any] = []
    if isinstance(pair, Iterable) and not isinstance(pair, str | bytes | bytearray | Mapping | Set):
        texts = list(islice(pair, 3))
    if len(texts) != 2 or not all(isinstance(text, str) for text in texts):
        inside = f" of {', '.join(type(text).__name__ for text in texts)}" if texts else ""
        raise InputError(f"pair {index}: two strings were expected, found {type(pair).__name__}{inside}")
    query, document = (checked_text(text, f"pair {index}") for text in texts)
    return query, document


def listed(values: Iterable[Item], name: str, what: str) -> list[Item]:
    """A list of what may be there to be gone through once. Raises `InputError` for one text or mapping in
    place of many, for what cannot be gone through, and beyond `MOST_DOCUMENTS`, read no further."""
    check_is_many(values, name, what)
    found = list(islice(values, MOST_DOCUMENTS + 1))
    if len(found) > MOST_DOCUMENTS:
        raise InputError(
            f"{name}: more than {MOST_DOCUMENTS:,} were given, the most of a call; give fewer candidates, or "
            "a file to `crosstune score`, which takes any number"
        )
    return found


def check_is_many(values: object, name: str, what: str) -> None:
    """Raises `InputError` for one text or mapping in place of many, and for what cannot be gone through."""
    one = isinstance(values, str | bytes | bytearray | Mapping)
    if one or not isinstance(values, Iterable):
        raise InputError(
            f"{name}: a list or another iterable of {what} was expected, found {type(values).__name__}"
            + ("; put it into a list" if one else "")
        )


def checked_text(text: object, at: str) -> str:
    """Raises `InputError` that begins with `at`."""
    if not isinstance(text, str):
        raise InputError(f"{at}: a string was expected, found {type(text).__name__}")
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"{at}: a text of {len(text):,} characters, at most {MOST_CHARACTERS:,} are taken; cut it, or "
            "give its passages as documents of their own"
        )
    return text


def checked_count(value: object, name: str) -> int:
    """Raises `InputError` unless it is a whole number from 1 on; numpy's count."""
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"{name} is {value!r:.40}; a whole number of at least 1 was expected")
    return number
