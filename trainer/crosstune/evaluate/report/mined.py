"""The data of the list of train queries: what mining did with their candidates, packed for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosstune.evaluate.report.browse import FURTHER_RELEVANT, QUERY_CHARACTERS, common, pack, start
from crosstune.records import MinedQuery, MinedSample

BUDGET = 400_000
"""Characters of the packed data."""
CANDIDATES = 20
"""Of a query that are shown at most."""
CHARACTERS = (400, 250, 160, 60, 30)
"""Of a passage: the first that fits."""

WORDS = {
    "taken": "taken as a negative",
    "judged_positive": "the qrels judge it relevant",
    "outside_ranks": "left: outside the ranks that negatives come from",
    "other_split": "left: relevant in another split",
    "reviewed": "left: a person answered relevant or unsure",
    "near_copy": "left: nearly a copy of a positive",
    "likely_positive": "left: quarantined, the teacher finds it relevant",
    "doubtful": "left: the teacher is in doubt",
    "margin": "left: scores too close to the positive, or above it",
    "used_up": "left: already a negative of as many groups as max_uses allows",
    "not_drawn": "left: could have been taken, and was not drawn",
}
"""The ledger's reasons."""


@dataclass(frozen=True)
class Mined:
    """`packed`: base64 of gzipped JSON. `suspicious`, `drawn`: queries that it holds, of the `seen` ones;
    `reasons`: that stand in it."""

    packed: str
    characters: int
    suspicious: int
    drawn: int
    seen: int
    reasons: list[str]


def make_mined(
    sample: MinedSample | None, queries: Mapping[str, str], passages: Mapping[str, str]
) -> Mined | None:
    """As much of the passages as fits into `BUDGET` characters, then fewer queries of both kinds. `None`
    where nothing was mined."""
    if sample is None or not sample.seen:
        return None
    suspicious, drawn = sample.suspicious, sample.drawn
    characters = CHARACTERS[0]
    for characters in CHARACTERS:
        packed = _packed(suspicious, drawn, queries, passages, characters)
        if len(packed) <= BUDGET:
            break
    while len(packed) > BUDGET:
        suspicious, drawn = suspicious[: len(suspicious) * 3 // 4], drawn[: len(drawn) * 3 // 4]
        packed = _packed(suspicious, drawn, queries, passages, characters)
    met = {row["reason"] for query in (*suspicious, *drawn) for row in query.rows}
    reasons = [reason for reason in WORDS if reason in met]
    return Mined(packed, characters, len(suspicious), len(drawn), sample.seen, reasons)


def _packed(
    suspicious: Sequence[MinedQuery],
    drawn: Sequence[MinedQuery],
    queries: Mapping[str, str],
    passages: Mapping[str, str],
    characters: int,
) -> str:
    chosen = [*suspicious, *drawn]
    further = [name.removeprefix("rank_") for name in chosen[0].rows[0] if name.startswith("rank_")]
    places: dict[str, int] = {}

    def number(doc_id: str) -> int:
        return places.setdefault(doc_id, len(places))

    rows = [[_row(row, query, number(row["doc_id"]), further) for row in _shown(query)] for query in chosen]
    lost = [[[number(doc_id), query.judged[doc_id]] for doc_id in _lost(query)] for query in chosen]
    texts = [start(passages[doc_id], characters) for doc_id in places]
    return pack(
        {
            "ids": [query.query_id for query in chosen],
            "texts": [start(queries[query.query_id], QUERY_CHARACTERS) for query in chosen],
            "worst": [_worst(query) for query in chosen],
            "suspicious": len(suspicious),
            "counts": [Counter(row["reason"] for row in query.rows) for query in chosen],
            "further": further,
            "reasons": WORDS,
            "rows": rows,
            "lost": lost,
            "common": common(texts),
            "docs": list(places),
            "passages": texts,
        }
    )


def _row(row: Mapping[str, Any], query: MinedQuery, place: int, further: Sequence[str]) -> dict[str, Any]:
    """Of one candidate; what it has not got is left out."""
    told = {
        "doc": place,
        "grade": query.judged.get(row["doc_id"]),
        "rank": row["rank"],
        "score": _rounded(row["score"]),
        "further": [[row[f"rank_{name}"], _rounded(row[f"score_{name}"])] for name in further] or None,
        "teacher": _rounded(row["teacher_score"]),
        "model": _rounded(row["model_score"]),
        "similarity": _rounded(row["similarity"]),
        "reason": row["reason"],
        "groups": row["groups"],
        "taken": len(row["taken_for"]) or None,
        "from": sorted(set(row["taken_from"])) or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _shown(query: MinedQuery) -> list[dict[str, Any]]:
    """The positives, what was taken and what is most suspicious, then what ranks best; in the order of the
    ledger."""
    rows = query.rows

    def weight(place: int) -> tuple[bool, float, int]:
        row = rows[place]
        told = query.judged.get(row["doc_id"], 0) > 0 or row["reason"] == "taken"
        return not told, -(row["suspicion"] if row["suspicion"] is not None else -1.0), place

    return [rows[place] for place in sorted(sorted(range(len(rows)), key=weight)[:CANDIDATES])]


def _lost(query: MinedQuery) -> list[str]:
    """Positives that are no candidates, the best grades first."""
    seen = {row["doc_id"] for row in query.rows}
    lost = [doc_id for doc_id, grade in query.judged.items() if grade > 0 and doc_id not in seen]
    return sorted(lost, key=lambda doc_id: (-query.judged[doc_id], doc_id))[:FURTHER_RELEVANT]


def _worst(query: MinedQuery) -> float | None:
    return _rounded(max((r["suspicion"] for r in query.rows if r["suspicion"] is not None), default=None))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
