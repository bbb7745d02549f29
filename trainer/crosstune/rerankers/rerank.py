"""The candidates of a run through a reranker, and the scores that become a run."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from crosstune.endpoints.answers import BadAnswer
from crosstune.errors import CheckFailed
from crosstune.progress import progress
from crosstune.records import Run
from crosstune.rerankers.libraries import Library
from crosstune.rerankers.store import Answer


@dataclass(frozen=True)
class Job:
    """A query and the documents to rerank, in the first stage's order; `texts` reads them."""

    query_id: str
    query: str
    doc_ids: tuple[str, ...]
    texts: Callable[[], Sequence[str]]


@dataclass(frozen=True)
class Reranked:
    """`scores`: of the documents asked for alone; `documents`: how many a request had at most."""

    scores: Run
    answers: tuple[Answer, ...]
    documents: int | None = None


def rerank_by_library(spec: str, library: Library, jobs: Sequence[Job]) -> Reranked:
    """Asks a library, a query at a time. Raises `CheckFailed` for scores that cannot be used."""
    scores: Run = {}
    answers: list[Answer] = []
    with progress(f"{spec}, queries", len(jobs)) as advance, contextlib.redirect_stdout(sys.stderr):
        for job in jobs:
            texts = job.texts()
            started = time.perf_counter()
            try:
                values = library.score(job.query, texts)
            except BadAnswer as error:
                raise CheckFailed(
                    f"--reranker {spec}: query {job.query_id!r}: {error}; use another model or library"
                ) from None
            answers.append(Answer(tuple(values), 1000 * (time.perf_counter() - started)))
            scores[job.query_id] = dict(zip(job.doc_ids, values, strict=True))
            advance(1)
    return Reranked(scores, tuple(answers))


def with_rest(candidates: Run, scores: Run, order: Callable[[dict[str, float]], list[str]]) -> Run:
    """The scores, and beneath them the candidates that were not reranked in their own `order`: each 1 lower
    than the one before, or as much as single precision, which decides the order of a run, can tell apart."""
    merged: Run = {}
    for query_id, first in candidates.items():
        reranked = scores.get(query_id, {})
        score = min(reranked.values(), default=0.0)
        merged[query_id] = dict(reranked)
        for doc in order(first):
            if doc not in reranked:
                score = min(score - 1, float(np.nextafter(np.float32(score), np.float32("-inf"))))
                merged[query_id][doc] = score
    return merged
