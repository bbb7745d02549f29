"""Dev as arrays: what was scored, and whether it is relevant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crosstune.records import Qrels, Run

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """All `[pairs]`: `values`, which the ranking is by; `relevant`: judged with a grade above 0, so that what
    nobody judged is not; `query`: the number of its query, from 0."""

    values: Floats
    relevant: Flags
    query: Numbers

    @property
    def queries(self) -> int:
        return len(np.unique(self.query))

    @property
    def telling(self) -> int:
        """Queries with a relevant and another candidate: those whose order can be right or wrong."""
        relevant = np.bincount(self.query[self.relevant], minlength=1)
        others = np.bincount(self.query[~self.relevant], minlength=1)
        most = min(len(relevant), len(others))
        return int(((relevant[:most] > 0) & (others[:most] > 0)).sum())


def pairs_of(run: Run, qrels: Qrels) -> Pairs:
    """The candidates of `run` in its order; queries without one add nothing."""
    rows = [
        (value, qrels.get(query_id, {}).get(doc_id, 0) > 0, number)
        for number, (query_id, scores) in enumerate(run.items())
        for doc_id, value in scores.items()
    ]
    return Pairs(
        np.array([value for value, _, _ in rows], dtype=np.float64),
        np.array([relevant for _, relevant, _ in rows], dtype=np.bool_),
        np.array([number for _, _, number in rows], dtype=np.int64),
    )
