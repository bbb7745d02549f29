"""The record types that every stage shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

Qrels = dict[str, dict[str, int]]
"""query id -> document id -> grade; a document that is not listed is unjudged."""

Run = dict[str, dict[str, float]]
"""query id -> document id -> score, higher is better."""
OF_UNKNOWN_DOCUMENTS = "without_judged_passage"
"""What is counted of a split's queries whose judgements all name documents that the corpus has not."""


@dataclass(frozen=True)
class Collection:
    """A collection read whole: what `crosstune.data.read_collection` returns.

    `passages` maps a document id to title and text joined by a space; `counts` says what the reader
    met and left out (for example `test_judgements_of_unknown_document`), by name.
    """

    name: str
    passages: dict[str, str]
    queries: dict[str, str]
    qrels: dict[Split, Qrels]
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """One training group: a query, `docs` passages and, for each, its grade and first-stage score.

    The first document is a positive, of the best grade where there are several. A `teacher_scores` entry is
    `None` where no teacher was asked.
    """

    query_id: str
    query: str
    doc_ids: list[str]
    docs: list[str]
    labels: list[int]
    first_stage_scores: list[float | None]
    teacher_scores: list[float | None]


@dataclass(frozen=True)
class MinedQuery:
    """What mining did with a train query. `judged`: document id -> grade; `rows`: the ledger's, by rank, each
    with its `suspicion` (0 to 1, `None` for what is judged or was not looked at)."""

    query_id: str
    judged: Mapping[str, int]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class MinedSample:
    """Of the `seen` queries of a ledger those with the most suspicious candidates, and some drawn of the
    others."""

    suspicious: list[MinedQuery]
    drawn: list[MinedQuery]
    seen: int


class Example(NamedTuple):
    """A pair of a stream and whether its passage is relevant, 0 or 1."""

    query: str
    passage: str
    label: int


class Candidate(NamedTuple):
    """A passage that a first stage returned for a query, with both texts."""

    query_id: str
    doc_id: str
    query: str
    passage: str


def json_id(value: object) -> object:
    """An id of a JSON row: an integer is taken as its decimal digits, as qrels and runs write it."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def ranking(scores: Mapping[str, float]) -> list[str]:
    """Document ids best first, as trec_eval orders them: by score, ties by document id, descending."""
    return [doc for doc, _ in sorted(scores.items(), key=lambda item: (item[1], item[0]), reverse=True)]
