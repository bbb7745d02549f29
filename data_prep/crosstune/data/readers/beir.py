"""BEIR folders: `corpus.jsonl`, `queries.jsonl`, `qrels/{train,dev,test}.tsv`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from crosstune.data.readers.ids import check_id, check_text, parse_grade
from crosstune.data.readers.records import Judgement, Passage, Query
from crosstune.errors import InputError
from crosstune.files import read_jsonl, read_lines
from crosstune.records import Split
from crosstune.trec import is_header

_OWN = {"_id", "title", "text"}
_HEADER = ["query-id", "corpus-id", "score"]


def read_corpus(path: Path) -> Iterator[Passage]:
    """Raises `InputError` with file and line for what is no passage, and for an empty file."""
    for at, row in _rows(path):
        yield Passage(row["_id"], row["text"], at, row.get("title") or "", _more(row, _OWN, at))


def read_queries(path: Path) -> Iterator[Query]:
    """Raises `InputError` with file and line for what is no query, and for an empty file."""
    for at, row in _rows(path):
        yield Query(row["_id"], row["text"], at, _more(row, _OWN - {"title"}, at))


def _more(row: Mapping[str, Any], own: Set[str], at: str) -> dict[str, Any] | None:
    """The other fields of a line. Raises `InputError` for a value that JSON in UTF-8 cannot hold: Python
    reads NaN, Infinity and 1e999 as numbers."""
    more = {name: value for name, value in row.items() if name not in own}
    for name, value in more.items():
        try:
            check_text(json.dumps({name: value}, ensure_ascii=False, allow_nan=False), at)
        except ValueError:
            raise InputError(
                f'{at}: "{name}" holds NaN or an infinite number, which is no JSON; write null, or leave it '
                "out"
            ) from None
    return more or None


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    empty = True
    for number, row in read_jsonl(path):
        empty, at = False, f"{path}:{number}"
        text, title = row.get("text"), row.get("title") or ""
        identifier = check_id(row.get("_id"), '"_id"', at)
        if not isinstance(text, str) or not isinstance(title, str):
            found = "missing" if "text" not in row else f"{type(text).__name__}"
            raise InputError(f'{at}: "text" (or "title") is no string: text is {found}')
        check_text(identifier + title + text, at)
        row["_id"] = identifier
        yield at, row
    if empty:
        raise InputError(f"{path}: is empty; one JSON object with _id and text a line was expected")


def read_qrels(path: Path, split: Split | None = None) -> Iterator[Judgement]:
    """Lines of `query-id corpus-id score` between tabs, with or without a header of any names.

    Raises `InputError` with file and line for another number of columns and a grade that is no integer.
    """
    for number, line in read_lines(path):
        columns = line.split("\t")
        if not line.strip() or (number == 1 and is_header(line)):
            continue
        at = f"{path}:{number}"
        if len(columns) != 3:
            raise InputError(
                f"{at}: found {len(columns)} tab-separated columns; query-id, corpus-id and score "
                "were expected" + (" (a TREC qrels file has 4)" if len(line.split()) == 4 else "")
            )
        query_id, doc_id, grade = (column.strip() for column in columns)
        yield Judgement(query_id, doc_id, parse_grade(grade, at), at, split)


def header_notes(paths: Iterable[Path]) -> Iterator[str]:
    """Says of each qrels file with a header of other names than BEIR's that this line is not read."""
    for path in paths:
        first = next((line for _, line in read_lines(path)), "")
        names = first.split("\t")
        if is_header(first) and names != _HEADER:
            yield f"{path}:1: a header ({', '.join(names)}), not read as a judgement"
