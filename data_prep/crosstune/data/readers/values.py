"""The values of a row's fields: each either has the type that the schema states, or is refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from crosstune.data.readers.ids import check_grade, parse_grade
from crosstune.errors import InputError
from crosstune.records import json_id


def text(row: Mapping[str, Any], field: str, at: str) -> str:
    value = json_id(row.get(field)) if field.endswith("_id") else row.get(field)
    if not isinstance(value, str):
        raise InputError(f'{at}: "{field}" is {_found(row, field)}; a string was expected')
    return value


def strings(row: Mapping[str, Any], field: str, at: str, *, needed: bool = True) -> list[str]:
    """A string, or a list of them. Without `needed`, a field that is missing or null is an empty list."""
    value = row.get(field)
    if value is None and not needed:
        return []
    if isinstance(value, str):
        return [value]
    values = list(value) if isinstance(value, list | tuple) else None
    if values is not None and field.endswith("_ids"):
        values = [json_id(value) for value in values]
    if values is None or not all(isinstance(entry, str) for entry in values) or (needed and not values):
        raise InputError(
            f'{at}: "{field}" is {_found(row, field)}; a string or a list of strings was expected'
            + (", and at least one" if values == [] else "")
        )
    return values


def grades(row: Mapping[str, Any], field: str, at: str, count: int) -> list[int]:
    """Whole numbers, one for each document; 1.0 and true are taken for 1."""
    return [_grade(value, f'{at}: "{field}"') for value in _list(row, field, at, count)]


def _grade(value: object, at: str) -> int:
    if isinstance(value, str):
        return parse_grade(value, at)
    if isinstance(value, int | float) and math.isfinite(value) and value == int(value):
        return check_grade(int(value), at)
    raise InputError(
        f"{at} holds {value!r}; relevance grades are whole numbers. Scores of a teacher belong in "
        "teacher_scores"
    )


def optional_scores(row: Mapping[str, Any], field: str, at: str, count: int) -> list[float | None]:
    """Finite numbers or null, one for each document; all null when the field is missing or null."""
    if row.get(field) is None:
        return [None] * count
    scores: list[float | None] = []
    for value in _list(row, field, at, count):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value)):
            raise InputError(f'{at}: "{field}" holds {value!r}; a finite number or null was expected')
        scores.append(None if value is None else float(value))
    return scores


def _list(row: Mapping[str, Any], field: str, at: str, count: int) -> list[Any]:
    value = row.get(field)
    if not isinstance(value, list | tuple):
        raise InputError(f'{at}: "{field}" is {_found(row, field)}; a list was expected')
    if len(value) != count:
        raise InputError(
            f'{at}: "{field}" has {len(value)} entries for {count} documents; one each was expected'
        )
    return list(value)


def _found(row: Mapping[str, Any], field: str) -> str:
    if field not in row:
        return "missing"
    value = row[field]
    shown = repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}..."
    return f"{type(value).__name__} {shown}"
