"""A split of a published procedure: candidates to rerank, and what they are measured by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crosstune.records import Candidate, Qrels, Run


@dataclass(frozen=True)
class JudgedLists:
    """`candidates` opens the stream of what is to be reranked, `count` tells their number,
    `first_stage` their scores before, where they are known."""

    split: str
    qrels: Qrels
    candidates: Callable[[], Iterator[Candidate]]
    count: Callable[[], int]
    first_stage: Callable[[], Run]
