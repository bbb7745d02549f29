"""What every candidate list is held to, whichever engine it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crosstune.errors import InputError
from crosstune.records import Collection, Run, ranking

if TYPE_CHECKING:
    from crosstune.data.first_stages.protocol import Found


@dataclass(frozen=True)
class Checked:
    """Candidates that are passages, each once, at most `depth` a query, with fp32 scores; and what was
    left out: ids that are no passage, and listings of a passage beyond its best one."""

    run: Run
    unknown_documents: int
    duplicates: int


def check_candidates(
    found: Found, queries: Mapping[str, str], collection: Collection, depth: int, name: str
) -> Checked:
    """Raises `InputError` for an answer to a query that was not asked, a score that is not finite, and
    candidates of which none is a passage of the collection."""
    foreign = found.keys() - queries.keys()
    if foreign:
        raise InputError(f"{name}: answered {min(foreign)!r}, a query that was not asked")
    run: Run = {}
    unknown: list[str] = []
    duplicates = listed = 0
    for query_id in queries:
        scores: dict[str, float] = {}
        for doc_id, score in _finite(found.get(query_id, ()), query_id, name):
            listed += 1
            if doc_id not in collection.passages:
                unknown.append(doc_id)
                continue
            duplicates += doc_id in scores
            scores[doc_id] = max(score, scores.get(doc_id, score))
        run[query_id] = scores if len(scores) <= depth else {d: scores[d] for d in ranking(scores)[:depth]}
    if unknown and len(unknown) == listed:
        raise InputError(
            f"{name}: none of its {listed} candidates is a passage of {collection.name} (it lists "
            f"{unknown[0]!r}, the corpus {next(iter(collection.passages))!r}); its ids are of another "
            "collection, or were rewritten on the way"
        )
    return Checked(run, len(unknown), duplicates)


def _finite(rows: Iterable[tuple[str, float]], query_id: str, name: str) -> Iterable[tuple[str, float]]:
    for doc_id, score in rows:
        value = float(np.float32(score))
        if not np.isfinite(value):
            raise InputError(
                f"{name}: query {query_id!r}, document {doc_id!r}: the score is {score}; a finite number "
                "was expected"
            )
        yield doc_id, value
