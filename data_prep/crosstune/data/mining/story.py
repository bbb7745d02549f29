"""What became of the candidates of one query, from the ledger."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from crosstune.data.mining.ledger import place, read_ledger
from crosstune.errors import InputError
from crosstune.records import Collection

TEXT_CHARACTERS = 160


@dataclass(frozen=True)
class Positive:
    """A judged positive; `rank` is None when the first stage did not retrieve it."""

    doc_id: str
    grade: int
    rank: int | None
    text: str


@dataclass(frozen=True)
class Seen:
    """A row of the ledger with the start of its text; `further`: rank and score in the first stages that are
    not reranked, by name."""

    doc_id: str
    rank: int | None
    score: float | None
    further: dict[str, dict[str, float | None]]
    teacher_score: float | None
    model_score: float | None
    similarity: float | None
    reason: str
    taken_for: list[str]
    taken_from: list[str]
    text: str


@dataclass(frozen=True)
class Story:
    query_id: str
    query: str
    positives: list[Positive]
    candidates: list[Seen]


def query_story(collection: Collection, ledger: Path, query_id: str) -> Story:
    """The query, its positives and its candidates by rank: the reranked first stage's, those that others
    alone found, random draws last.

    Raises `InputError` for an id that is unknown (with the nearest one) or that mining did not see.
    """
    judged = collection.qrels.get("train", {}).get(query_id)
    if judged is None:
        raise InputError(_unknown(collection, query_id))
    rows = sorted(read_ledger(ledger, [query_id]), key=place)
    if not rows:
        raise InputError(
            f"{ledger}: holds no candidate of query {query_id!r}: the first stage found nothing for it, "
            "or mine.max_groups left it out"
        )
    ranks = {row["doc_id"]: row["rank"] for row in rows}
    positives = [
        Positive(doc_id, grade, ranks.get(doc_id), _start(collection, doc_id))
        for doc_id, grade in sorted(judged.items(), key=lambda item: (-item[1], item[0]))
        if grade > 0
    ]
    candidates = [_seen(row, _start(collection, row["doc_id"])) for row in rows]
    return Story(query_id, collection.queries[query_id], positives, candidates)


def _seen(row: dict[str, Any], text: str) -> Seen:
    names = [column.removeprefix("rank_") for column in row if column.startswith("rank_")]
    further = {name: {"rank": row[f"rank_{name}"], "score": row[f"score_{name}"]} for name in names}
    own = {field.name: row[field.name] for field in fields(Seen) if field.name in row}
    return Seen(**own, further=further, text=text)


def _start(collection: Collection, doc_id: str) -> str:
    return " ".join(collection.passages[doc_id].split())[:TEXT_CHARACTERS]


def _unknown(collection: Collection, query_id: str) -> str:
    train = collection.qrels.get("train", {})
    if query_id in collection.queries:
        return f"query {query_id!r} is not judged in qrels/train.tsv; mining sees the train queries alone"
    near = difflib.get_close_matches(query_id, list(train), n=1, cutoff=0)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    return f"no query has the id {query_id!r}; {len(train)} train queries are known{hint}"
