"""The parts of the audit."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from crosstune.data.audit.advice import SUSPECTS, advise
from crosstune.data.audit.boilerplate import Phrase, find_boilerplate
from crosstune.data.audit.overlap import Overlap, find_overlaps
from crosstune.data.mining.ledger import suspicion
from crosstune.records import Collection, Qrels, Run, ranking

DEPTHS = (1, 5, 10, 20, 50, 100)
LANGUAGE_SAMPLE = 500
LANGUAGE_CHARACTERS = 40

Tokens = Callable[[Sequence[str]], list[int]]
"""Texts -> wordpieces of each, special tokens aside."""


class ReadingRule(Protocol):
    """`max_tokens` of a pair, `max_query_tokens` of its query, and which wordpieces of a passage are read
    when `room` of them fit beside the query."""

    @property
    def max_tokens(self) -> int: ...
    @property
    def max_query_tokens(self) -> int: ...
    def plan(self, passage: int, room: int) -> list[range]: ...


@dataclass(frozen=True)
class Audit:
    """What `audit.json` holds. `lengths`: wordpieces at the quantiles, and the share of passages of which
    not all is read. `recall`: split -> depth -> R@depth, which is the ceiling of what reranking can
    reach at that depth. `suspects`: unjudged candidates, the likeliest positive first. `advice`: a sentence
    for each thing found."""

    name: str
    sizes: dict[str, int]
    labels: dict[str, dict[str, float]]
    lengths: dict[str, dict[str, float]]
    recall: dict[str, dict[str, float]]
    overlaps: list[Overlap]
    repeated_passages: list[list[str]]
    boilerplate: dict[str, Phrase]
    languages: dict[str, int]
    suspects: list[dict[str, Any]]
    advice: list[str]


def audit(
    collection: Collection,
    runs: Mapping[str, Run],
    ledger: Iterable[Mapping[str, Any]],
    tokens: Tokens,
    rule: ReadingRule,
) -> Audit:
    """Audits a collection with the first stage's `runs` by split and the rows of a mining ledger."""
    sizes = {"passages": len(collection.passages), "queries": len(collection.queries), **collection.counts}
    lengths = _lengths(collection, tokens, rule)
    recall = {
        str(split): {f"R@{depth}": _recall(qrels, runs[split], depth) for depth in DEPTHS}
        for split, qrels in collection.qrels.items()
        if split in runs
    }
    labels = {str(split): _labels(qrels) for split, qrels in collection.qrels.items()}
    overlaps = find_overlaps(collection)
    repeated = _repeated(collection)
    suspects = _suspects(collection, ledger)
    languages = _languages(list(collection.passages.values()))
    boilerplate = find_boilerplate(collection.passages)
    found = Audit(
        name=collection.name,
        sizes=sizes,
        labels=labels,
        lengths=lengths,
        recall=recall,
        overlaps=overlaps,
        repeated_passages=repeated,
        boilerplate=boilerplate,
        languages=languages,
        suspects=suspects,
        advice=[],
    )
    return replace(found, advice=advise(found, rule.max_tokens, rule.max_query_tokens))


def _labels(qrels: Qrels) -> dict[str, float]:
    counts = [sum(grade > 0 for grade in judged.values()) for judged in qrels.values()]
    return {
        "queries": len(counts),
        "without positive": sum(count == 0 for count in counts),
        "positives a query, mean": round(sum(counts) / len(counts), 2),
        "positives a query, most": max(counts),
        "grades": len({grade for judged in qrels.values() for grade in judged.values()}),
    }


def _lengths(collection: Collection, tokens: Tokens, rule: ReadingRule) -> dict[str, dict[str, float]]:
    queries = tokens([collection.queries[q] for qrels in collection.qrels.values() for q in qrels])
    passages = tokens(list(collection.passages.values()))
    middle = min(sorted(queries)[len(queries) // 2], rule.max_query_tokens)
    room = rule.max_tokens - middle - 3  # [CLS], two [SEP]
    cut = sum(rule.plan(n, room)[-1].stop < n for n in passages)
    return {
        "queries": _quantiles(queries)
        | {"cut": sum(n > rule.max_query_tokens for n in queries) / len(queries)},
        "passages": _quantiles(passages) | {"cut": cut / len(passages)},
    }


def _quantiles(values: Sequence[int]) -> dict[str, float]:
    ordered = sorted(values)
    places = {"median": 0.5, "90 %": 0.9, "99 %": 0.99, "longest": 1.0}
    return {name: ordered[min(len(ordered) - 1, int(q * len(ordered)))] for name, q in places.items()}


def _recall(qrels: Qrels, run: Run, depth: int) -> float:
    shares = []
    for query_id, judged in qrels.items():
        positives = {doc_id for doc_id, grade in judged.items() if grade > 0}
        if positives:
            shares.append(len(positives & set(ranking(run.get(query_id, {}))[:depth])) / len(positives))
    return sum(shares) / len(shares) if shares else 0.0


def _repeated(collection: Collection) -> list[list[str]]:
    """Ids of passages with one text (case and white space aside), the largest sets first."""
    by_text: dict[int, list[str]] = {}
    for doc_id, text in collection.passages.items():
        by_text.setdefault(hash(" ".join(text.lower().split())), []).append(doc_id)
    return sorted((ids for ids in by_text.values() if len(ids) > 1), key=lambda ids: (-len(ids), ids))


def _suspects(collection: Collection, ledger: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Unjudged candidates by suspicion."""
    train = collection.qrels.get("train", {})
    unjudged = (
        {**row, "suspicion": found}
        for row in ledger
        if (found := suspicion(row, train[row["query_id"]])) is not None
    )
    worst = heapq.nlargest(SUSPECTS, unjudged, key=lambda row: (row["suspicion"], -(row["rank"] or 0)))
    return [
        {
            **{name: row[name] for name in ("query_id", "doc_id", "rank", "suspicion", "reason")},
            "query": collection.queries[row["query_id"]],
            "text": " ".join(collection.passages[row["doc_id"]].split())[:300],
        }
        for row in worst
    ]


def _languages(texts: Sequence[str]) -> dict[str, int]:
    """Languages of an even sample of the passages that are long enough to tell, most frequent first."""
    from py3langid import classify

    able = [text for text in texts if len(text) >= LANGUAGE_CHARACTERS]
    sample = able[:: max(1, len(able) // LANGUAGE_SAMPLE)][:LANGUAGE_SAMPLE]
    return dict(Counter(str(classify(text[:2000])[0]) for text in sample).most_common())
