"""The train queries that the report shows: which they are, and what is told of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstune.data import MiningSettings, mine, mined_sample, read_ledger
from crosstune.data.mining import sample
from mining_cases import random_case


def test_half_are_the_most_suspicious_and_half_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MOST", 4)
    collection, run = random_case(1, queries=12)
    mine(collection, run, MiningSettings(), 1, tmp_path)
    train, ledger = collection.qrels["train"], tmp_path / "ledger.parquet"
    rows = list(read_ledger(ledger))
    found = mined_sample(train, ledger)
    assert found is not None
    assert found.seen == len({row["query_id"] for row in rows}) == 12
    # Without a teacher: by the similarity to a positive, of what nobody judged.
    unjudged = [r for r in rows if r["doc_id"] not in train[r["query_id"]] and r["similarity"] is not None]
    worst = {q: max(r["similarity"] for r in unjudged if r["query_id"] == q) for q in train}
    order = sorted(worst, key=lambda query_id: (-worst[query_id], query_id))
    assert [query.query_id for query in found.suspicious] == order[:2]
    drawn = [query.query_id for query in found.drawn]
    assert len(set(drawn) & set(order[2:])) == 2
    assert found == mined_sample(train, ledger)
    for query in (*found.suspicious, *found.drawn):
        own = [row for row in rows if row["query_id"] == query.query_id]
        assert [row["rank"] for row in query.rows] == sorted(row["rank"] for row in own)
        assert query.judged == train[query.query_id]
        told = [row["suspicion"] for row in query.rows if row["suspicion"] is not None]
        assert max(told) == worst[query.query_id]


def test_few_queries_are_all_shown_and_none_without_a_ledger(tmp_path: Path) -> None:
    collection, run = random_case(1, queries=4)
    mine(collection, run, MiningSettings(), 1, tmp_path)
    found = mined_sample(collection.qrels["train"], tmp_path / "ledger.parquet")
    assert found is not None
    assert (len(found.suspicious), found.drawn, found.seen) == (4, [], 4)
    assert mined_sample(collection.qrels["train"], tmp_path / "none.parquet") is None
