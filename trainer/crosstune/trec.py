"""TREC run and qrels files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from crosstune.errors import InputError
from crosstune.files import read_lines, staged_file
from crosstune.records import Run, ranking


def write_run(path: Path, run: Run, tag: str) -> None:
    """Writes `qid Q0 docno rank score tag`, best first; scores keep their full fp32 value."""
    with staged_file(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
        for query_id, scores in run.items():
            for rank, doc_id in enumerate(ranking(scores), start=1):
                score = np.format_float_positional(np.float32(scores[doc_id]), unique=True, trim="0")
                handle.write(f"{query_id} Q0 {doc_id} {rank} {score} {tag}\n")


def read_run(path: Path) -> Run:
    """Reads a TREC run; the score decides and not the rank column.

    Raises `InputError` with file and line for what `read_run_lines` refuses, and for a document that is
    listed twice for one query.
    """
    run: Run = {}
    for number, query_id, doc_id, score in read_run_lines(path):
        scores = run.setdefault(query_id, {})
        if doc_id in scores:
            raise InputError(f"{path}:{number}: document {doc_id!r} is listed twice for query {query_id!r}")
        scores[doc_id] = score
    return run


def read_run_lines(path: Path) -> Iterator[tuple[int, str, str, float]]:
    """Streams a TREC run: `(line number, query id, document id, score)`.

    Raises `InputError` with file and line for a line without six columns and a score that is not a finite
    number.
    """
    for number, line in read_lines(path):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != 6:
            raise InputError(
                f"{path}:{number}: found {len(columns)} columns, a TREC run has 6: "
                "qid Q0 docno rank score tag"
            )
        query_id, _, doc_id, _, text, _ = columns
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise InputError(f"{path}:{number}: score {text!r} is not a finite number")
        yield number, query_id, doc_id, score
