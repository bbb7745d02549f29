"""Some queries of the ledger, to be shown."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosstune.data.mining.ledger import place, read_ledger, suspicion
from crosstune.records import MinedQuery, MinedSample, Qrels

MOST = 100
"""Queries of a sample; half of them suspicious, half drawn at random, where there are more."""
SEED = 13
NOT_SUSPICIOUS = -1.0


def mined_sample(train: Qrels, ledger: Path) -> MinedSample | None:
    """The queries whose likeliest false negative is the likeliest, and others; `None` where nothing was
    mined. `train`: the judgements that were mined. Memory holds a number for each query and the rows of the
    sample. Raises `InputError` for a file that is no ledger."""
    if not ledger.is_file():
        return None
    worst: dict[str, float] = {}
    for row in read_ledger(ledger, columns=("query_id", "doc_id", "teacher_score", "similarity")):
        query_id = row["query_id"]
        found = suspicion(row, train.get(query_id, {}))
        worst[query_id] = max(worst.get(query_id, NOT_SUSPICIOUS), NOT_SUSPICIOUS if found is None else found)
    order = sorted(worst, key=lambda query_id: (-worst[query_id], query_id))
    suspicious, others = (order[: MOST // 2], order[MOST // 2 :]) if len(order) > MOST else (order, [])
    drawn = random.Random(SEED).sample(sorted(others), min(MOST // 2, len(others)))
    rows: dict[str, list[dict[str, Any]]] = {query_id: [] for query_id in (*suspicious, *drawn)}
    for row in read_ledger(ledger, [*rows]):
        rows[row["query_id"]].append(row)
    queries = {query_id: _query(query_id, train.get(query_id, {}), found) for query_id, found in rows.items()}
    return MinedSample([queries[q] for q in suspicious], [queries[q] for q in drawn], len(worst))


def _query(query_id: str, judged: Mapping[str, int], rows: list[dict[str, Any]]) -> MinedQuery:
    told = [{**row, "suspicion": suspicion(row, judged)} for row in sorted(rows, key=place)]
    return MinedQuery(query_id, judged, told)
