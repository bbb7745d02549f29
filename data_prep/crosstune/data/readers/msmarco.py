"""MS MARCO passage files: tab-separated, no quoting: a quotation mark is a character. They have no header;
one that another tool wrote, a first line of nothing but names of columns, is no record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from crosstune.data.readers.ids import check_id, check_text
from crosstune.data.readers.records import Candidate, Example, IdGroup, Passage, Query, Record
from crosstune.errors import InputError
from crosstune.files import read_lines
from crosstune.records import Split

_WORD = (
    r"(anchor|answer|corpus|doc(id|no|ument)?|id|neg(ative)?|passage|pid|pos(itive)?|qid|query|question|text"
    r"|title|topic)"
)
_COLUMN_NAME = re.compile(rf"{_WORD}([ _-]{_WORD})*", re.IGNORECASE)


def read_collection_tsv(path: Path) -> Iterator[Passage]:
    """`passage id, passage`."""
    for at, (doc_id, text) in _columns(path, "id", "passage"):
        yield Passage(check_id(doc_id, "id", at), text, at)


def read_queries_tsv(path: Path) -> Iterator[Query]:
    """`query id, query`."""
    for at, (query_id, text) in _columns(path, "id", "query"):
        yield Query(check_id(query_id, "id", at), text, at)


def read_top1000(path: Path) -> Iterator[Record]:
    """`query id, passage id, query, passage`: yields the texts too, since it may come without the others.

    The file holds no scores: each candidate has 0.
    """
    for at, (query_id, doc_id, query, passage) in _columns(path, "qid", "pid", "query", "passage"):
        yield Query(check_id(query_id, "qid", at), query, at)
        yield Passage(check_id(doc_id, "pid", at), passage, at)
        yield Candidate(query_id, doc_id, 0.0, at, str(path))


def read_triples(path: Path, split: Split | None) -> Iterator[Example]:
    """`query, positive, negative` as texts."""
    for at, (query, positive, negative) in _columns(path, "query", "positive", "negative"):
        yield Example(query, (positive, negative), (1, 0), at, split=split)


def read_id_triples(path: Path, split: Split | None) -> Iterator[IdGroup]:
    """`query id, positive passage id, negative passage id`."""
    for at, ids in _columns(path, "qid", "positive pid", "negative pid"):
        query_id, *doc_ids = (check_id(value, "id", at) for value in ids)
        yield IdGroup(query_id, tuple(doc_ids), (1, 0), at, split)


def _columns(path: Path, *names: str) -> Iterator[tuple[str, list[str]]]:
    """`(file:line, columns)`. Raises `InputError` for a line with another number of columns."""
    for number, line in read_lines(path):
        if not line:
            continue
        columns = line.split("\t")
        at = f"{path}:{number}"
        if len(columns) != len(names):
            raise InputError(
                f"{at}: found {len(columns)} tab-separated columns; {len(names)} were expected "
                f"({', '.join(names)})"
                + ("; a tab inside a text must be a space" if len(columns) > len(names) else "")
            )
        if number == 1 and _is_header(columns):
            continue
        check_text(line, at)
        yield at, columns


def _is_header(columns: Sequence[str]) -> bool:
    return len(columns) > 1 and all(_COLUMN_NAME.fullmatch(column) for column in columns)


def header_notes(paths: Iterable[Path]) -> Iterator[str]:
    """Says of each file that begins with a header that this line is not read."""
    for path in paths:
        columns = next((line for _, line in read_lines(path)), "").split("\t")
        if _is_header(columns):
            yield f"{path}:1: a header ({', '.join(columns)}), not read as a record"
