"""Which pairs are graded: those of people, to compare with, and the candidates that nobody has judged."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from crosstune.data import FirstStageSettings, read_answers, search_all
from crosstune.errors import InputError
from crosstune.labels.folder import Labelled
from crosstune.labels.graders import Pair
from crosstune.labels.prompts import Example
from crosstune.records import SPLITS, Run, Split, ranking
from crosstune.trec import read_run


@dataclass(frozen=True)
class Candidates:
    """`pairs`: to grade; `counts`: of what was found, by what became of it."""

    pairs: list[Pair]
    counts: dict[str, int]


def label_queries(source: Labelled, split: Split, run: Run | None, most: int | None, seed: int) -> list[str]:
    """The queries of the split and those of no split, of the run where there is one; `most` drawn by seed.

    Raises `InputError` where there is none.
    """
    collection = source.collection
    elsewhere = {q for other in SPLITS if other != split for q in collection.qrels.get(other, {})}
    own = [q for q in collection.queries if q not in elsewhere and (run is None or q in run)]
    if not own:
        among = "of the run " if run is not None else ""
        raise InputError(
            f"{source.path}: no query {among}belongs to {split} or to no split "
            f"({len(collection.queries)} queries, {len(elsewhere)} of other splits); nothing to label"
        )
    return own if most is None or most >= len(own) else sorted(random.Random(seed).sample(own, most))


def candidates_of(
    source: Labelled, queries: list[str], run: Run | None, first_stage: FirstStageSettings
) -> Run:
    """Of a run file, or searched now."""
    if run is not None:
        return {query_id: run.get(query_id, {}) for query_id in queries}
    collection = source.collection
    return search_all(collection, first_stage, {q: collection.queries[q] for q in queries})


def read_candidates(path: Path | None) -> Run | None:
    return None if path is None else read_run(path)


Reviewed = Collection[tuple[str, str]]
"""Query and document ids that a review has an answer to, `unsure` too: people were asked."""


def reviewed_pairs(review: Path | None) -> Reviewed:
    return () if review is None else read_answers(review).by_pair.keys()


def pairs_to_label(source: Labelled, candidates: Run, depth: int, reviewed: Reviewed = ()) -> Candidates:
    """The best `depth` candidates of each query that no split and no review has judged."""
    collection = source.collection
    pairs = []
    counts = Counter(queries=len(candidates), candidates=0, judged=0, unknown_documents=0, empty=0)
    for query_id, scores in candidates.items():
        judged = {d for qrels in collection.qrels.values() for d in qrels.get(query_id, {})}
        for doc_id in ranking(scores)[:depth]:
            counts["candidates"] += 1
            if doc_id not in collection.passages:
                counts["unknown_documents"] += 1
            elif doc_id in judged or (query_id, doc_id) in reviewed:
                counts["judged"] += 1
            elif not collection.passages[doc_id].strip():
                counts["empty"] += 1
            else:
                pairs.append(_pair(source, query_id, doc_id))
    return Candidates(pairs, dict(counts))


def people_pairs(
    source: Labelled, review: Path | None, examples: list[Example], most: int, seed: int
) -> dict[tuple[str, str], int]:
    """`most` pairs that people judged, in any split or in a review, drawn by seed; no query of an example,
    which the model has seen. `unsure` is no judgement."""
    shown = {example.query_id for example in examples}
    found = {
        (query_id, doc_id): grade
        for split in SPLITS
        for query_id, judged in source.by_people(split).items()
        for doc_id, grade in judged.items()
    }
    if review is not None:
        for (query_id, doc_id), answer in read_answers(review).by_pair.items():
            known = query_id in source.collection.queries and doc_id in source.collection.passages
            if known and answer.verdict != "unsure":
                found[query_id, doc_id] = int(answer.verdict == "relevant")
    pairs = sorted(pair for pair in found if pair[0] not in shown)
    drawn = pairs if most >= len(pairs) else random.Random(seed).sample(pairs, most)
    return {pair: found[pair] for pair in sorted(drawn)}


def assumed_pairs(
    source: Labelled,
    people: dict[tuple[str, str], int],
    candidates: Run,
    seed: int,
    reviewed: Reviewed = (),
) -> dict[tuple[str, str], int]:
    """For each relevant pair a candidate of the same query that nobody judged, taken for grade 0."""
    draw = random.Random(seed)
    assumed: dict[tuple[str, str], int] = {}
    collection = source.collection
    relevant = Counter(query_id for (query_id, _), grade in people.items() if grade > 0)
    for query_id in sorted(relevant):
        judged = {d for qrels in collection.qrels.values() for d in qrels.get(query_id, {})}
        seen = candidates.get(query_id, {})
        asked = {doc_id for doc_id in seen if doc_id in judged or (query_id, doc_id) in reviewed}
        free = sorted((seen.keys() - asked) & collection.passages.keys())
        for doc_id in draw.sample(free, min(relevant[query_id], len(free))):
            assumed[query_id, doc_id] = 0
    return assumed


def as_pairs(source: Labelled, ids: list[tuple[str, str]]) -> list[Pair]:
    return [_pair(source, query_id, doc_id) for query_id, doc_id in ids]


def _pair(source: Labelled, query_id: str, doc_id: str) -> Pair:
    collection = source.collection
    return Pair(query_id, doc_id, collection.queries[query_id], collection.passages[doc_id])
