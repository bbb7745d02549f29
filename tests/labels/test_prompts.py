"""Prompts: the shipped ones, a user's own, and which labels they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstune.errors import InputError
from crosstune.labels.prompts import (
    SCALES,
    draw_examples,
    grade_template,
    highest_grade,
    query_template,
    shorten,
)
from crosstune.records import Collection

PASSAGES = {f"d{n}": f"passage {n}" for n in range(9)}
QUERIES = {f"q{n}": f"query {n}" for n in range(6)}


def collection(**qrels: dict[str, dict[str, int]]) -> Collection:
    return Collection("c", PASSAGES, QUERIES, qrels)  # type: ignore[arg-type]


LABELLED = collection(
    train={"q0": {"d0": 2, "d1": 0}, "q1": {"d2": 1}, "q2": {"d3": 1, "d4": -1}},
    dev={"q3": {"d5": 2}},
    test={"q4": {"d6": 2}},
)
NONE: frozenset[tuple[str, str]] = frozenset()


def test_examples_are_peoples_labels_of_train() -> None:
    for seed in range(20):
        shown = draw_examples(LABELLED, frozenset({("q1", "d2")}), 9, seed, highest=None)
        assert {example.query_id for example in shown} == {"q0", "q2"}
        assert all(LABELLED.qrels["train"][e.query_id][e.doc_id] > 0 for e in shown)
        assert len({example.query_id for example in shown}) == len(shown)


def test_examples_of_grades_take_turns() -> None:
    with_three = collection(train={**LABELLED.qrels["train"], "q5": {"d8": 3}})
    for seed in range(20):
        shown = draw_examples(LABELLED, NONE, 3, seed, highest=3)
        assert shown[0].grade == 2
        assert {example.grade for example in shown} <= {0, 1, 2}
        assert shown[1].grade == 1
        assert {e.grade for e in draw_examples(LABELLED, NONE, 9, seed, highest=1)} <= {0, 1}
        assert "d8" not in {e.doc_id for e in draw_examples(with_three, NONE, 9, seed, highest=2)}
    assert draw_examples(collection(test={"q0": {"d0": 1}}), NONE, 3, 1, highest=3) == []


def test_the_shipped_prompts_hold_what_is_asked() -> None:
    examples = draw_examples(LABELLED, NONE, 2, 1, highest=None)
    filled = query_template(None).fill({"passage": "THE PASSAGE", "count": 2, "examples": examples})
    assert filled.count("THE PASSAGE") == 1
    for example in examples:
        assert f'Passage: {example.passage}\nQueries: ["{example.query}"]' in filled
    asked = {"query": "THE QUERY", "passage": "THE PASSAGE", "scale": SCALES[3], "examples": examples}
    filled = grade_template(None).fill(asked)
    assert "Query: THE QUERY\nPassage: THE PASSAGE" in filled
    assert all(f"{grade}: {meaning}" in filled for grade, meaning in SCALES[3].items())
    assert filled.endswith("N is one of 0, 1, 2, 3.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ passage }", r"own\.txt:1: not a template"),
        ("line\n{% if %}{{ passage }}", r"own\.txt:2: not a template"),
        ("{{ pasage }}", r"\{\{ pasage \}\} is not known; did you mean passage"),
        ("write a query", r"\{\{ passage \}\} is missing: every prompt would be the same"),
        ("{{ passage.x.y }}", "cannot be filled"),
        ("{{ passage.__class__.__mro__ }}", "cannot be filled"),
    ],
)
def test_a_template_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        query_template(tmp_path / "own.txt").fill({"passage": "p", "count": 1, "examples": []})


def test_the_scale_is_that_of_people() -> None:
    assert highest_grade(LABELLED, NONE) == 2
    assert highest_grade(LABELLED, frozenset({("q0", "d0")})) == 1
    assert highest_grade(collection(test={"q0": {"d0": 3}}), NONE) == 1
    with pytest.raises(InputError, match="grades up to 7; scales to 3 have words"):
        highest_grade(collection(train={"q0": {"d0": 7}}), NONE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a b c", ("a b c", False)), ("abcd efgh", ("abcd", True)), ("abcdefgh", ("abcde", True))],
)
def test_texts_are_cut_after_a_word(text: str, expected: tuple[str, bool]) -> None:
    assert shorten(text, 5) == expected
