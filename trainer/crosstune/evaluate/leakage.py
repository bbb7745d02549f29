"""Leakage: test queries that were trained on, and test positives that were trained on as negatives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crosstune.records import Collection, Group, Qrels

NEAR = 0.9


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
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    train = {_normal(collection.queries[q]): q for q in collection.qrels.get("train", {})}
    texts = list(train)
    equal: dict[str, str] = {}
    near: dict[str, str] = {}
    for query_id in test:
        text = _normal(collection.queries[query_id])
        if text in train:
            equal[query_id] = train[text]
        elif found := process.extractOne(
            text, texts, scorer=Indel.normalized_similarity, processor=None, score_cutoff=NEAR
        ):
            near[query_id] = train[found[0]]
    return LeakageReport(equal, near, _negatives(collection.passages, groups, test))


def _negatives(passages: Mapping[str, str], groups: Iterable[Group], test: Qrels) -> dict[str, str]:
    trained = {
        _normal(text): doc_id
        for group in groups
        for doc_id, text, label in zip(group.doc_ids, group.docs, group.labels, strict=True)
        if label == 0
    }
    met: dict[str, str] = {}
    for query_id, judged in test.items():
        for doc_id, grade in judged.items():
            if grade > 0 and (text := _normal(passages[doc_id])) in trained:
                met[query_id] = trained[text]
    return met


def _normal(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
