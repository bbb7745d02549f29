"""Many queries, one after the other: read ahead by a bounded number of documents, answered in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any

from crosstune.errors import InputError
from crosstune.serve.given import Candidates
from crosstune.serve.ranked import Document, RankedDocument, RankedQuery

Query = tuple[str, Iterable[Document]] | Mapping[str, Any]
"""`(query, documents)`, or a mapping with `query`, `documents` and, for a fusion, `first_stage_scores`."""

TOGETHER_DOCUMENTS = 512
TOGETHER_CHARACTERS = 4_000_000
"""Queries are scored together until they have so many documents or characters: that fills every core."""

Read = Callable[[int, Query], Candidates]
Rank = Callable[[list[Candidates]], list[list[RankedDocument]]]


class Window:
    """The queries that were read and not yet answered."""

    def __init__(self, read: Read, rank: Rank) -> None:
        self._read, self._rank = read, rank
        self._waiting: list[tuple[int, Query, Candidates]] = []
        self._documents = self._characters = 0

    def is_full_with(self, index: int, given: Query) -> bool:
        """Takes one more query. Raises what `read` raises."""
        one = self._read(index, given)
        self._waiting.append((index, given, one))
        self._documents += max(1, len(one.texts))
        self._characters += sum(map(len, one.texts))
        return self._documents >= TOGETHER_DOCUMENTS or self._characters >= TOGETHER_CHARACTERS

    def answers(self) -> list[RankedQuery]:
        """Scores all that wait, together, and empties the window."""
        waiting, self._waiting = self._waiting, []
        self._documents = self._characters = 0
        ranked = self._rank([one for _, _, one in waiting])
        return [
            RankedQuery(index, given, hits) for (index, given, _), hits in zip(waiting, ranked, strict=True)
        ]


def answered(queries: Iterable[Query], window: Window) -> Iterator[RankedQuery]:
    """What was read before an error is answered before it is raised."""
    try:
        for index, given in enumerate(queries):
            if window.is_full_with(index, given):
                yield from window.answers()
    except Exception:
        yield from window.answers()
        raise
    yield from window.answers()


async def answered_in_threads(
    queries: Iterable[Query] | AsyncIterable[Query], window: Window
) -> AsyncIterator[RankedQuery]:
    """The same; the queries are read in the event loop, where they may wait for something, and scored in a
    thread of its executor."""
    index = 0
    try:
        async for given in _each(queries):
            if window.is_full_with(index, given):
                for answer in await asyncio.to_thread(window.answers):
                    yield answer
            index += 1
    except Exception:
        for answer in await asyncio.to_thread(window.answers):
            yield answer
        raise
    for answer in await asyncio.to_thread(window.answers):
        yield answer


async def _each(queries: Iterable[Query] | AsyncIterable[Query]) -> AsyncIterator[Query]:
    if isinstance(queries, AsyncIterable):
        async for given in queries:
            yield given
    else:
        for given in queries:
            yield given


def unpacked(given: Query) -> tuple[str, Iterable[Document], Iterable[float] | None]:
    """Query, documents, first-stage scores. Raises `InputError` for anything else."""
    if isinstance(given, Mapping):
        if missing := [name for name in ("query", "documents") if name not in given]:
            raise InputError(f"has no {missing[0]!r}; its fields are {', '.join(map(str, given)) or 'none'}")
        return given["query"], given["documents"], given.get("first_stage_scores")
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise InputError(
            f"(query, documents) or a mapping with these was expected, found {type(given).__name__}"
        )
    query, documents = given
    return query, documents, None
