"""Queries in groups: by length, by number of positives, by a field of the queries file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.files import read_jsonl, read_lines
from crosstune.records import Qrels, json_id

LENGTHS = (1, 2, 4, 8, 16, 32)
POSITIVES = (0, 1, 2, 5, 10)
SHOWN_VALUES = 20
NUMBERS_IN_QUARTERS = 8
OTHER = "(all other values)"
NONE = "(none)"

Rows = Mapping[str, Mapping[str, Any]]
"""query id -> the fields of its line in the queries file; `text` is one of them."""


@dataclass(frozen=True)
class Part:
    """Some of the queries under one label."""

    label: str
    query_ids: tuple[str, ...]


def read_query_rows(path: Path) -> Rows:
    """Reads a BEIR `queries.jsonl` with all of its fields, or `qid <tab> text` lines (`.tsv`).

    Raises `InputError` with file and line for a line without an id or text, and for an id met twice.
    """
    rows: dict[str, Mapping[str, Any]] = {}
    for number, identifier, row in _tsv(path) if path.suffix == ".tsv" else _jsonl(path):
        if not isinstance(identifier, str) or not isinstance(row.get("text"), str):
            raise InputError(f'{path}:{number}: strings under "_id" and "text" were expected')
        if identifier in rows:
            raise InputError(f"{path}:{number}: query {identifier!r} is there twice")
        rows[identifier] = row
    return rows


def _jsonl(path: Path) -> Iterable[tuple[int, Any, Mapping[str, Any]]]:
    return ((number, json_id(row.get("_id")), row) for number, row in read_jsonl(path))


def _tsv(path: Path) -> Iterable[tuple[int, Any, Mapping[str, Any]]]:
    for number, line in read_lines(path):
        identifier, tab, text = line.partition("\t")
        if line.strip():
            yield number, identifier, {"text": text if tab else None}


def by_length(qrels: Qrels, rows: Rows) -> list[Part]:
    """By the words of the query (separated by spaces)."""
    return _ranges(qrels, LENGTHS, lambda query_id: len(_row(rows, query_id)["text"].split()))


def by_positives(qrels: Qrels) -> list[Part]:
    """By the number of documents with a grade above 0."""
    return _ranges(qrels, POSITIVES, lambda query_id: sum(grade > 0 for grade in qrels[query_id].values()))


def by_field(qrels: Qrels, rows: Rows, field: str) -> list[Part]:
    """By the value of a field (`a.b` reads `b` inside `a`): numbers of many values in quarters, other values
    each for itself, the most frequent first. Raises `InputError` when no query has the field."""
    values = {query_id: _value(_row(rows, query_id), field) for query_id in qrels}
    if all(value is None for value in values.values()):
        known = sorted({key for query_id in qrels for key in rows[query_id]} - {"_id"})
        raise InputError(f"no query has the field {field!r}; the fields are: {', '.join(known)}")
    numbers = {
        q: float(v) for q, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)
    }
    present = sum(value is not None for value in values.values())
    if len(numbers) == present and len(set(numbers.values())) > NUMBERS_IN_QUARTERS:
        return _quarters(numbers, qrels)
    labels = {query_id: NONE if value is None else str(value) for query_id, value in values.items()}
    shown = [label for label, _ in Counter(labels.values()).most_common(SHOWN_VALUES)]
    return _parts([*shown, OTHER], {q: label if label in shown else OTHER for q, label in labels.items()})


def _row(rows: Rows, query_id: str) -> Mapping[str, Any]:
    if query_id not in rows:
        raise InputError(
            f"query {query_id!r} of the qrels is not in the queries file; give that of this collection"
        )
    return rows[query_id]


def _value(row: Mapping[str, Any], field: str) -> Any:
    value: Any = row
    for key in field.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _ranges(qrels: Qrels, starts: tuple[int, ...], measure: Callable[[str], int]) -> list[Part]:
    ends = [f"-{after - 1}" if after - 1 > start else "" for start, after in pairwise(starts)]
    names = [f"{start}{end}" for start, end in zip(starts, [*ends, " or more"], strict=True)]
    labels = {}
    for query_id in qrels:
        place = sum(start <= measure(query_id) for start in starts)
        labels[query_id] = names[max(0, place - 1)]
    return _parts(names, labels)


def _quarters(numbers: Mapping[str, float], qrels: Qrels) -> list[Part]:
    import numpy as np

    edges = np.quantile(list(numbers.values()), [0, 0.25, 0.5, 0.75, 1])
    names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    labels = {
        query_id: names[min(3, int(np.searchsorted(edges[1:], numbers[query_id], side="left")))]
        if query_id in numbers
        else NONE
        for query_id in qrels
    }
    return _parts([*names, NONE], labels)


def _parts(names: Iterable[str], labels: Mapping[str, str]) -> list[Part]:
    parts = (
        Part(name, tuple(q for q, label in labels.items() if label == name)) for name in dict.fromkeys(names)
    )
    return [part for part in parts if part.query_ids]
