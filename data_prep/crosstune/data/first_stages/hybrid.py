"""Several first stages as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from crosstune.data.first_stages.checks import Checker
from crosstune.data.first_stages.kinds import open_first_stage
from crosstune.records import Collection, ranking

if TYPE_CHECKING:
    from crosstune.data.first_stages.protocol import Found
    from crosstune.data.first_stages.settings import HybridSettings

Scores = Mapping[str, float]


class Hybrid:
    """Each of `of` searches to its own depth; the union of what they find is fused."""

    def __init__(self, collection: Collection, settings: HybridSettings) -> None:
        self._settings = settings
        self._stages = [open_first_stage(collection, single) for single in settings.of]
        self._checkers = [
            Checker(collection, single.depth, f"first stage {single.kind} of the hybrid")
            for single in settings.of
        ]

    def search(self, queries: Mapping[str, str], depth: int) -> Found:
        runs = [
            checker.check(stage.search(queries, single.depth), queries)
            for stage, single, checker in zip(self._stages, self._settings.of, self._checkers, strict=True)
        ]
        weights = self._settings.weights or [1.0] * len(runs)
        unit = _share if self._settings.fusion == "weighted" else _reciprocal(self._settings.rrf_k)
        return {
            query_id: _best(fuse([run[query_id] for run in runs], weights, unit), depth)
            for query_id in queries
        }

    def notes(self) -> dict[str, object]:
        return {
            "of": [
                {"kind": single.kind, "candidates_left_out": checker.left_out(), **stage.notes()}
                for stage, single, checker in zip(
                    self._stages, self._settings.of, self._checkers, strict=True
                )
            ]
        }


def fuse(
    lists: Sequence[Scores], weights: Sequence[float], unit: Callable[[Scores], Scores]
) -> dict[str, float]:
    """The weighted sum, over the lists, of what `unit` makes of each; a list without a document adds 0."""
    fused: defaultdict[str, float] = defaultdict(float)
    for scores, weight in zip(lists, weights, strict=True):
        for doc_id, value in unit(scores).items():
            fused[doc_id] += weight * value
    return dict(fused)


def _reciprocal(k: int) -> Callable[[Scores], Scores]:
    """1 / (k + rank), ranks from 1 (Cormack, Clarke & Buettcher 2009, SIGIR)."""
    return lambda scores: {doc_id: 1 / (k + place) for place, doc_id in enumerate(ranking(scores), start=1)}


def _share(scores: Scores) -> Scores:
    """The scores brought to 0..1 by the lowest and the highest of the list; all 1 when they are equal."""
    low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    return {doc_id: (value - low) / (high - low) if high > low else 1.0 for doc_id, value in scores.items()}


def _best(scores: Scores, depth: int) -> list[tuple[str, float]]:
    return [(doc_id, scores[doc_id]) for doc_id in ranking(scores)[:depth]]
