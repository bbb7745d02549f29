"""The schemas of training rows: which fields make a row, by name and never by position, and what it means.

`docs/data.md` shows them. A field `schema` in a row states the version that it was written for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosstune.data.readers.ids import check_id, check_text
from crosstune.data.readers.records import Example, did_you_mean, show_names
from crosstune.data.readers.values import grades, optional_scores, strings, text
from crosstune.errors import InputError

ROW_VERSION = 1
ROLES = ("query", "positive", "negative", "docs", "labels", "passage", "label")
EXTRA_ROLES = ("query_id", "doc_ids", "passage_id", "first_stage_scores", "teacher_scores")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Schema:
    """`fields`: those that tell the schema, in any order; `optional`: others that are read."""

    name: str
    fields: tuple[str, ...]
    optional: tuple[str, ...]
    example: Callable[[Row, str], Example]
    more: re.Pattern[str] | None = None

    def reads(self, field: str) -> bool:
        named = field in self.fields or field in self.optional or field == "schema"
        return named or bool(self.more and self.more.fullmatch(field))


def _query_id(row: Row, at: str) -> str | None:
    return text(row, "query_id", at) if row.get("query_id") is not None else None


def _contrast(row: Row, at: str, names: tuple[str, str, Sequence[str]]) -> Example:
    query, positive, negatives = names
    good = strings(row, positive, at)
    bad = [value for name in negatives for value in strings(row, name, at, needed=False)]
    return Example(
        query=text(row, query, at),
        docs=[*good, *bad],
        labels=[1] * len(good) + [0] * len(bad),
        at=at,
        query_id=_query_id(row, at),
    )


def _pairs(row: Row, at: str) -> Example:
    return _contrast(row, at, ("query", "positive", ("negative",)))


def _cohere(row: Row, at: str) -> Example:
    return _contrast(row, at, ("query", "relevant_passages", ("hard_negatives",)))


def _triplet(row: Row, at: str) -> Example:
    query = "anchor" if "anchor" in row else "query"
    negatives = [name for name in row if _NEGATIVES.fullmatch(name)]
    return _contrast(row, at, (query, "positive", negatives))


def _flag(row: Row, at: str) -> Example:
    good, bad = strings(row, "pos", at), strings(row, "neg", at, needed=False)
    scores = [
        *optional_scores(row, "pos_scores", at, len(good)),
        *optional_scores(row, "neg_scores", at, len(bad)),
    ]
    return Example(
        query=text(row, "query", at),
        docs=[*good, *bad],
        labels=[1] * len(good) + [0] * len(bad),
        at=at,
        teacher_scores=scores if any(score is not None for score in scores) else None,
    )


def _list(row: Row, at: str) -> Example:
    docs = strings(row, "docs", at)
    labels = grades(row, "labels", at, len(docs))
    ids = strings(row, "doc_ids", at) if row.get("doc_ids") is not None else None
    if ids is not None and len(ids) != len(docs):
        raise InputError(f"{at}: doc_ids has {len(ids)} entries, docs {len(docs)}; one for each was expected")
    return Example(
        query=text(row, "query", at),
        docs=docs,
        labels=labels,
        at=at,
        query_id=_query_id(row, at),
        doc_ids=ids,
        first_stage_scores=optional_scores(row, "first_stage_scores", at, len(docs)),
        teacher_scores=optional_scores(row, "teacher_scores", at, len(docs)),
        listed=True,
    )


def _labelled(row: Row, at: str, query: str, passage: str, label: str) -> Example:
    ids = [text(row, "passage_id", at)] if row.get("passage_id") is not None else None
    (grade,) = grades({label: [row.get(label)]}, label, at, 1)
    return Example(
        query=text(row, query, at),
        docs=[text(row, passage, at)],
        labels=[grade],
        at=at,
        query_id=_query_id(row, at),
        doc_ids=ids,
    )


def _labelled_pair(passage: str) -> Callable[[Row, str], Example]:
    return lambda row, at: _labelled(row, at, "query", passage, "label")


def _sentences(second: str, label: str) -> Callable[[Row, str], Example]:
    first = second.replace("2", "1").replace("B", "A")
    return lambda row, at: _labelled(row, at, first, second, label)


_NEGATIVES = re.compile(r"negative(_\d+)?")
_ST = "sentence-transformers"
_ST_PASSAGES = ("passage", "answer", "response", "document", "text")

SCHEMAS: tuple[Schema, ...] = (
    Schema("cohere", ("query", "relevant_passages"), ("hard_negatives",), _cohere),
    Schema("flagembedding", ("query", "pos"), ("neg", "pos_scores", "neg_scores"), _flag),
    Schema(
        "lists",
        ("query", "docs", "labels"),
        ("query_id", "doc_ids", "first_stage_scores", "teacher_scores"),
        _list,
    ),
    Schema(_ST, ("anchor", "positive"), ("query_id",), _triplet, _NEGATIVES),
    Schema(_ST, ("query", "positive", "negative_1"), ("query_id",), _triplet, _NEGATIVES),
    Schema("pairs", ("query", "positive"), ("negative", "query_id"), _pairs),
    *(
        Schema(_ST, ("query", name, "label"), ("query_id", "passage_id"), _labelled_pair(name))
        for name in _ST_PASSAGES
    ),
    *(
        Schema(
            _ST, (second.replace("2", "1").replace("B", "A"), second, label), (), _sentences(second, label)
        )
        for second in ("sentence2", "sentence_B")
        for label in ("label", "score")
    ),
)
NAMES = tuple(dict.fromkeys(schema.name for schema in SCHEMAS))


def recognise_schema(fields: Sequence[str], name: str | None = None) -> Schema | None:
    """The first schema whose telling fields are all there; of those called `name` when it is given."""
    return next(
        (s for s in SCHEMAS if s.name == (name or s.name) and all(field in fields for field in s.fields)),
        None,
    )


def check_version(row: Row, at: str) -> None:
    """Raises `InputError` for a row that states a version which is not known."""
    if row.get("schema", ROW_VERSION) != ROW_VERSION:
        raise InputError(
            f'{at}: the field "schema" is {row["schema"]!r}; this crosstune knows version {ROW_VERSION} of '
            "training rows. Upgrade crosstune, or write the rows in that version (docs/data.md)"
        )


def example(schema: Schema, row: Row, at: str) -> Example:
    """Raises `InputError` with file, line and field for a row that does not fit."""
    check_version(row, at)
    made = schema.example(row, at)
    for value in (made.query, *made.docs):
        check_text(value, at)
    if made.query_id is not None:
        check_text(check_id(made.query_id, "query_id", at), at)
    for value in made.doc_ids or ():
        check_text(check_id(value, "doc_ids" if made.listed else "passage_id", at), at)
    return made


def map_columns(row: Row, columns: Mapping[str, str], at: str) -> dict[str, Any]:
    """The row with crosstune's names for its columns (`columns`: role -> column).

    Raises `InputError` that names a column which is not there, with those that are.
    """
    for role, column in columns.items():
        if column not in row:
            raise InputError(
                f"{at}: there is no column {column!r} (given for {role}){did_you_mean(column, row)} "
                f"There are: {show_names(list(row), 20)}"
            )
    return {role: row[column] for role, column in columns.items()}


def check_columns(columns: Mapping[str, str]) -> None:
    known = (*ROLES, *EXTRA_ROLES)
    for role in columns:
        if role not in known:
            raise InputError(
                f"column map: {role!r} is no role{did_you_mean(role, known)} Roles: {', '.join(known)}"
            )
    if not recognise_schema([*columns]):
        raise InputError(
            f"column map: {', '.join(columns) or 'nothing'} is not enough; give query and positive (and "
            "negative), or query, passage and label, or query, docs and labels"
        )
