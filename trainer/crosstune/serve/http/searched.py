"""What the demo page searches: an interface, since the service itself knows no collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class FoundPassage:
    """A passage with the first stage's score, fp32; `grade`: how it was judged for this query, `None` where
    it was not."""

    doc_id: str
    text: str
    score: float
    grade: int | None


@dataclass(frozen=True)
class JudgedQuery:
    """A query of the collection's own. `relevant`: passages that are judged relevant to it, found or not."""

    query_id: str
    split: str
    relevant: int


@dataclass(frozen=True)
class SearchResult:
    """`passages`: best first; `seconds`: of the search alone; `judged`: where the collection has the
    query."""

    passages: Sequence[FoundPassage]
    seconds: float
    judged: JudgedQuery | None


class Searched(Protocol):
    """A collection and its first stage."""

    @property
    def name(self) -> str: ...

    @property
    def passages(self) -> int: ...

    @property
    def first_stage(self) -> str:
        """As a person calls it."""
        ...

    @property
    def depth(self) -> int:
        """Passages that are reranked, at most."""
        ...

    @property
    def mean_characters(self) -> float:
        """Of a passage."""
        ...

    @property
    def note(self) -> str | None:
        """What a person should know of the first stage."""
        ...

    @property
    def examples(self) -> Sequence[tuple[str, str]]:
        """Queries of the collection's own, each with its split."""
        ...

    def search(self, query: str, depth: int) -> SearchResult:
        """Blocks; it is called by one thread. Raises `InputError` when the first stage cannot be asked."""
        ...

    def is_first_stage_of(self, recipe: Mapping[str, Any]) -> bool:
        """Whether a model's recipe has this first stage, so that the weight of its scores is known."""
        ...


OpenSearched = Callable[[Mapping[str, Any]], Searched]
"""Called with the recipe of the default model's export; raises `InputError`."""
