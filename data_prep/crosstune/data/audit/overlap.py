"""What two splits share: queries, equal or nearly, and positive passages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from crosstune.near_equal import find_equal, normal
from crosstune.records import SPLITS, Collection, Qrels


@dataclass(frozen=True)
class Overlap:
    """`equal_queries`, `near_queries`: query id of the later split -> id of the earlier one. `positives`:
    ids of passages that are relevant in both; `of_positives`: how many the later split has.
    `equal_positives`: other passages of the later split with the same text -> id in the earlier one."""

    earlier: str
    later: str
    equal_queries: dict[str, str]
    near_queries: dict[str, str]
    positives: list[str]
    of_positives: int
    equal_positives: dict[str, str]


def find_overlaps(collection: Collection) -> list[Overlap]:
    """Every pair of splits. Case, punctuation and white space are set aside; two queries are nearly equal
    from an indel similarity of 0.9."""
    splits = [split for split in SPLITS if split in collection.qrels]
    return [_overlap(collection, earlier, later) for earlier, later in combinations(splits, 2)]


def _overlap(collection: Collection, earlier: str, later: str) -> Overlap:
    qrels: Mapping[str, Qrels] = {str(split): judged for split, judged in collection.qrels.items()}
    equal, near = find_equal(
        {q: collection.queries[q] for q in qrels[earlier]}, {q: collection.queries[q] for q in qrels[later]}
    )
    before, after = _positives(qrels[earlier]), _positives(qrels[later])
    passages = {normal(collection.passages[d]): d for d in before}
    same_text = {
        doc_id: passages[text]
        for doc_id in sorted(after - before)
        if (text := normal(collection.passages[doc_id])) in passages
    }
    return Overlap(earlier, later, equal, near, sorted(before & after), len(after), same_text)


def _positives(qrels: Qrels) -> set[str]:
    return {doc_id for judged in qrels.values() for doc_id, grade in judged.items() if grade > 0}
