"""Queries and grades out of what a model said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.labels.parse import LONGEST_QUERY, grade_of, queries_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a", "b"]', ["a", "b"]),
        ('{"queries": ["a"]}', ["a"]),
        ('```json\n["a  b\\n", "a b"]\n```', ["a b"]),
        ('<think>["no"]</think>\n["yes"]', ["yes"]),
        ('["a", "b", "c", "d"]', ["a", "b", "c"]),
        ('["a", ""]', ["a"]),
        (json.dumps(["x" * (LONGEST_QUERY + 1), "a"]), ["a"]),
        ("Here are the queries:\n1. a", None),
        ('["a", 1]', None),
        ('{"query": "a"}', None),
        ("[]", None),
        ('[""]', None),
        ('"a"', None),
        ("[" * 100_000, None),
    ],
)
def test_queries(text: str, expected: list[str] | None) -> None:
    assert queries_of(text, 3) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"grade": 2}', 2),
        ("3", 3),
        ('```\n{"grade": 0, "why": "other"}\n```', 0),
        ('{"grade": 4}', None),
        ('{"grade": -1}', None),
        ('{"grade": 1.5}', None),
        ('{"grade": true}', None),
        ('{"grade": "1"}', None),
        ("The grade is 2.", None),
        ("", None),
    ],
)
def test_grades(text: str, expected: int | None) -> None:
    assert grade_of(text, 3) == expected


@given(st.text(), st.integers(1, 5))
def test_any_text_is_read_or_refused(text: str, most: int) -> None:
    found = queries_of(text, most)
    assert found is None or 0 < len(found) <= most
    assert grade_of(text, most) in (None, *range(most + 1))


@given(st.lists(st.text("abc  \n", min_size=1, max_size=9), max_size=5))
def test_what_was_written_comes_back_once(queries: list[str]) -> None:
    expected = list(dict.fromkeys(" ".join(query.split()) for query in queries if query.strip()))
    assert queries_of(json.dumps({"queries": queries}), 5) == (expected or None)
