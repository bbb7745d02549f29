"""What two splits share: queries, equal or nearly, and positive passages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from crosstune.data.audit.near_passages import all_compared, find_equal_passages
from crosstune.near_equal import find_equal
from crosstune.records import SPLITS, Collection, Qrels


@dataclass(frozen=True)
class Overlap:
    """`equal_queries`, `near_queries`: query id of the later split -> id of the earlier one. `positives`:
    ids of passages that are relevant in both; `of_positives`: how many the later split has.
    `equal_positives`, `near_positives`: other passages of the later split -> the one of the earlier split
    with the same, or nearly the same, text; `all_compared`: whether each was compared with each for that, or
    those alone that share rare words."""

    earlier: str
    later: str
    equal_queries: dict[str, str]
    near_queries: dict[str, str]
    positives: list[str]
    of_positives: int
    equal_positives: dict[str, str]
    near_positives: dict[str, str]
    all_compared: bool

    @property
    def shared_positives(self) -> int:
        return len(self.positives) + len(self.equal_positives) + len(self.near_positives)


def find_overlaps(collection: Collection) -> list[Overlap]:
    """Every pair of splits. Case, punctuation and white space are set aside; two texts are nearly equal
    from an indel similarity of 0.9."""
    splits = [split for split in SPLITS if split in collection.qrels]
    return [_overlap(collection, earlier, later) for earlier, later in combinations(splits, 2)]


def _overlap(collection: Collection, earlier: str, later: str) -> Overlap:
    qrels: Mapping[str, Qrels] = {str(split): judged for split, judged in collection.qrels.items()}
    equal, near = find_equal(
        {q: collection.queries[q] for q in qrels[earlier]}, {q: collection.queries[q] for q in qrels[later]}
    )
    before, after = _positives(qrels[earlier]), _positives(qrels[later])
    known, asked = sorted(before), sorted(after - before)
    same_text, near_text = find_equal_passages(
        {d: collection.passages[d] for d in known}, {d: collection.passages[d] for d in asked}
    )
    return Overlap(
        earlier=earlier,
        later=later,
        equal_queries=equal,
        near_queries=near,
        positives=sorted(before & after),
        of_positives=len(after),
        equal_positives=same_text,
        near_positives=near_text,
        all_compared=all_compared(known, asked),
    )


def _positives(qrels: Qrels) -> set[str]:
    return {doc_id for judged in qrels.values() for doc_id, grade in judged.items() if grade > 0}
