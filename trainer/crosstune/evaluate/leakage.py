"""Leakage: test queries that were trained on, and test positives that were trained on as negatives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crosstune.near_equal import find_equal, normal
from crosstune.progress import progress
from crosstune.records import Collection, Group, Qrels


@dataclass(frozen=True)
class LeakageReport:
    """Test query ids by what is wrong with them; `near_queries`, `negatives`: id -> what it meets."""

    equal_queries: dict[str, str]
    near_queries: dict[str, str]
    negatives: dict[str, str]

    @property
    def query_ids(self) -> set[str]:
        """The test queries whose text is, or nearly is, that of a train query."""
        return self.equal_queries.keys() | self.near_queries.keys()


def find_leaks(collection: Collection, groups: Iterable[Group], test: Qrels) -> LeakageReport:
    """Compares the test queries with the train queries (case, punctuation and order of spaces aside;
    nearly equal from an indel similarity of 0.9), and test positives with training negatives, by text."""
    train = {q: collection.queries[q] for q in collection.qrels.get("train", {})}
    with progress("leakage, test queries", len(test)) as advance:
        equal, near = find_equal(train, {q: collection.queries[q] for q in test}, advance)
    return LeakageReport(equal, near, _negatives(collection.passages, groups, test))


def _negatives(passages: Mapping[str, str], groups: Iterable[Group], test: Qrels) -> dict[str, str]:
    trained = {
        normal(text): doc_id
        for group in groups
        for doc_id, text, label in zip(group.doc_ids, group.docs, group.labels, strict=True)
        if label == 0
    }
    met: dict[str, str] = {}
    for query_id, judged in test.items():
        for doc_id, grade in judged.items():
            if grade > 0 and (text := normal(passages[doc_id])) in trained:
                met[query_id] = trained[text]
    return met
