"""What every candidate list is held to, whichever engine it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from crosstune.errors import InputError
from crosstune.records import Collection, Run, ranking

if TYPE_CHECKING:
    from crosstune.data.first_stages.protocol import Found


class Checker:
    """Holds what one engine answers, part by part, to the rules: its candidates are passages, each once, at
    most `depth` a query, with fp32 scores.

    `unknown_documents`, `duplicates`: what was left out so far, ids that are no passage, and listings of a
    passage beyond its best one.
    """

    def __init__(self, collection: Collection, depth: int, name: str) -> None:
        self._collection = collection
        self._depth = depth
        self._name = name
        self._listed = 0
        self.unknown_documents = 0
        self.duplicates = 0

    def check(self, found: Found, queries: Mapping[str, str]) -> Run:
        """The candidates of `queries`.

        Raises `InputError` for an answer to a query that was not asked, a score that is not finite, and when
        no candidate so far is a passage of the collection.
        """
        foreign = found.keys() - queries.keys()
        if foreign:
            raise InputError(f"{self._name}: answered {min(foreign)!r}, a query that was not asked")
        run: Run = {}
        unknown = ""
        for query_id in queries:
            scores: dict[str, float] = {}
            for doc_id, score in _finite(found.get(query_id, ()), query_id, self._name):
                self._listed += 1
                if doc_id not in self._collection.passages:
                    self.unknown_documents += 1
                    unknown = unknown or doc_id
                    continue
                self.duplicates += doc_id in scores
                scores[doc_id] = max(score, scores.get(doc_id, score))
            run[query_id] = self._cut(scores)
        if unknown and self.unknown_documents == self._listed:
            raise InputError(
                f"{self._name}: none of its {self._listed} candidates is a passage of "
                f"{self._collection.name} (it lists {unknown!r}, the corpus "
                f"{next(iter(self._collection.passages))!r}); its ids are of another collection, or were "
                "rewritten on the way"
            )
        return run

    def left_out(self) -> dict[str, int]:
        return {"unknown_document": self.unknown_documents, "duplicate": self.duplicates}

    def _cut(self, scores: dict[str, float]) -> dict[str, float]:
        if len(scores) <= self._depth:
            return scores
        return {doc_id: scores[doc_id] for doc_id in ranking(scores)[: self._depth]}


def _finite(rows: Iterable[tuple[str, float]], query_id: str, name: str) -> Iterable[tuple[str, float]]:
    for doc_id, score in rows:
        value = float(np.float32(score))
        if not np.isfinite(value):
            raise InputError(
                f"{name}: query {query_id!r}, document {doc_id!r}: the score is {score}; a finite number "
                "was expected"
            )
        yield doc_id, value
