"""TREC run and qrels files."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from crosstune.errors import InputError
from crosstune.files import read_lines, staged_file
from crosstune.records import Qrels, Run, ranking

LARGEST_GRADE = 2**31 - 1


def write_run(path: Path, run: Run, tag: str) -> None:
    """Writes `qid Q0 docno rank score tag`, best first; scores keep their full fp32 value."""
    with run_writer(path, tag) as write:
        write(run)


@contextmanager
def run_writer(path: Path, tag: str) -> Iterator[Callable[[Run], None]]:
    """Yields `write(run)` for the parts of a run, each with queries of its own, as `write_run` writes it
    whole. The file appears when the block ends well."""
    with staged_file(path) as temporary, temporary.open("w", encoding="utf-8") as handle:

        def write(run: Run) -> None:
            for query_id, scores in run.items():
                for rank, doc_id in enumerate(ranking(scores), start=1):
                    score = np.format_float_positional(np.float32(scores[doc_id]), unique=True, trim="0")
                    handle.write(f"{query_id} Q0 {doc_id} {rank} {score} {tag}\n")

        yield write


@dataclass(frozen=True)
class RunFile:
    """A run, and what a reader of its figures must know about the file."""

    run: Run
    notes: tuple[str, ...]


def read_run(path: Path) -> Run:
    """Reads a TREC run; the score decides and not the rank column.

    Raises `InputError` with file and line for a line without six columns, a score that is not a
    finite number, or a document that is listed twice for one query.
    """
    run: Run = {}
    for number, query_id, doc_id, _, score in _run_lines(path):
        add_line(run, path, number, query_id, doc_id, score)
    return run


def read_run_lines(path: Path) -> Iterator[tuple[int, str, str, float]]:
    """Streams a TREC run: `(line number, query id, document id, score)`.

    Raises `InputError` with file and line for a line without six columns and a score that is not a finite
    number.
    """
    for number, query_id, doc_id, _, score in _run_lines(path):
        yield number, query_id, doc_id, score


def read_run_file(path: Path) -> RunFile:
    """Reads a TREC run as `read_run` does, and notes where its lines are not sorted by score, or where its
    rank column tells another order than its scores."""
    run: Run = {}
    ranks: dict[str, array[int]] = {}
    numbered = True
    for number, query_id, doc_id, rank, score in _run_lines(path):
        add_line(run, path, number, query_id, doc_id, score)
        numbered = numbered and rank.lstrip("-").isdigit() and len(rank) < 18
        if numbered:
            ranks.setdefault(query_id, array("q")).append(int(rank))
    if not run:
        raise InputError(f"{path}: is empty; a TREC run was expected: qid Q0 docno rank score tag")
    return RunFile(run, tuple(_notes(path, run, ranks if numbered else {})))


def _run_lines(path: Path) -> Iterator[tuple[int, str, str, str, float]]:
    """Yields `(line number, query id, document id, rank column, score)`."""
    for number, line in read_lines(path):
        columns = line.split()
        if columns:
            yield number, *parse_line(path, number, columns)


def parse_line(path: Path, number: int, columns: list[str]) -> tuple[str, str, str, float]:
    """`(query id, document id, rank column, score)` of a line. Raises `InputError` with file and line for
    another number of columns and a score that is not a finite number."""
    if len(columns) != 6:
        hint = "; an MS MARCO run (qid, pid, rank) is read with --msmarco" if len(columns) == 3 else ""
        raise InputError(
            f"{path}:{number}: found {len(columns)} columns, a TREC run has 6: qid Q0 docno rank score tag"
            + hint
        )
    query_id, _, doc_id, rank, text, _ = columns
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise InputError(
            f"{path}:{number}: score {text!r} is not a finite number; leave the line out, or mend its writer"
        )
    return query_id, doc_id, rank, score


def trec_run_hint(line: str) -> str:
    """What an error says of a line where an MS MARCO run was expected and that looks like a TREC run's."""
    if len(line.split()) != 6:
        return ""
    return (
        "; this looks like a TREC run. To make an MS MARCO run of it: "
        """awk -v OFS='\\t' '{print $1, $3, $4}' RUN"""
    )


def add_line(run: Run, path: Path, number: int, query_id: str, doc_id: str, score: float) -> None:
    """Adds what line `number` of `path` says. Raises `InputError` for a document that `run` already has."""
    scores = run.setdefault(query_id, {})
    if doc_id in scores:
        raise InputError(
            f"{path}:{number}: document {doc_id!r} is listed twice for query {query_id!r}; keep one line"
        )
    scores[doc_id] = score


def _notes(path: Path, run: Run, ranks: dict[str, array[int]]) -> Iterator[str]:
    unsorted = [query_id for query_id, scores in run.items() if not _falling(list(scores.values()))]
    if unsorted:
        yield (
            f"{path}: the lines of {len(unsorted)} of {len(run)} queries are not sorted by score "
            f"(query {unsorted[0]!r}); they are taken in the order of their scores"
        )
    other = [
        query_id
        for query_id, places in ranks.items()
        if len(set(places)) == len(places)
        and not _falling([s for _, s in sorted(zip(places, run[query_id].values(), strict=True))])
    ]
    if other:
        yield (
            f"{path}: rank and score disagree for {len(other)} of {len(run)} queries (query {other[0]!r}); "
            "the score decides, as in trec_eval, and the rank column is not read"
        )


def _falling(scores: list[float]) -> bool:
    return all(before >= after for before, after in pairwise(scores))


def is_header(line: str) -> bool:
    """Whether a first line of BEIR's qrels is one of names: three columns, the third no number. BEIR's own
    loader passes over the first line whatever it says, so the names differ from data set to data set."""
    columns = line.split("\t") if "\t" in line else line.split()
    if len(columns) != 3:
        return False
    try:
        float(columns[2])
    except ValueError:
        return True
    return False


def whole_number(text: str) -> int | None:
    """The number that a grade says, None for what is no whole one. 1.0 is what pandas makes of 1 in a column
    that has gaps."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def read_qrels(path: Path) -> Qrels:
    """Reads relevance judgements: TREC's `qid iter docno grade`, or BEIR's `query-id corpus-id score`
    (tab-separated, with or without a header).

    Raises `InputError` with file and line for another number of columns, a grade that is no integer, or
    a document that is judged twice for one query with different grades.
    """
    qrels: Qrels = {}
    width = 0
    for number, line in read_lines(path):
        columns = line.split()
        if not columns or (number == 1 and is_header(line)):
            continue
        width = width or len(columns)
        if len(columns) not in (3, 4) or len(columns) != width:
            raise InputError(
                f"{path}:{number}: found {len(columns)} columns; qrels have 4 (qid iter docno grade) or, as "
                "BEIR's, 3 (query-id corpus-id score)" + (f", here {width}" if width in (3, 4) else "")
            )
        query_id, doc_id, text = columns[0], columns[-2], columns[-1]
        grade = whole_number(text)
        if grade is None:
            raise InputError(f"{path}:{number}: grade {text!r} is not an integer")
        if abs(grade) > LARGEST_GRADE:
            raise InputError(f"{path}:{number}: grade {text}; at most {LARGEST_GRADE:,} was expected")
        if qrels.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
            raise InputError(
                f"{path}:{number}: query {query_id!r} and document {doc_id!r} are judged twice, "
                f"{qrels[query_id][doc_id]} and {grade}"
            )
    if not qrels:
        raise InputError(f"{path}: holds no judgement")
    return qrels
