"""Groups of a query: all its positives with their grades, and what else of mining must not change."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.data import MiningSettings, mine, read_groups
from crosstune.records import Collection, Group, Run
from mining_cases import random_case

PASSAGES = {"a": "apple pie", "b": "bread", "c": "cake with cream", "d": "date", "e": "egg on toast"}
COLLECTION = Collection(
    "c",
    PASSAGES,
    {"q": "food", "r": "fruit"},
    {"train": {"q": {"b": 1, "a": 3, "c": 1, "d": 0}, "r": {"d": 2}}},
)
RUN: Run = {"q": {"e": 5.0, "b": 4.0, "a": 3.0, "d": 2.0}, "r": {"d": 2.0, "e": 1.0}}


def _mine(folder: Path, collection: Collection, run: Run, **options: object) -> list[Group]:
    teacher = (lambda pairs: [float(len(text)) for _, text in pairs]) if "teacher" in options else None
    mine(collection, run, MiningSettings.model_validate(options), 1, folder, teacher)
    return read_groups(folder)


def test_a_query_is_one_group_with_its_grades_best_first(tmp_path: Path) -> None:
    food, fruit = _mine(tmp_path, COLLECTION, RUN, group_by="query")
    assert food.doc_ids[:3] == ["a", "b", "c"]
    assert food.labels == [3, 1, 1, 0, 0]
    assert sorted(food.doc_ids[3:]) == ["d", "e"]
    assert food.first_stage_scores[:3] == [3.0, 4.0, None]
    assert (fruit.doc_ids, fruit.labels) == (["d", "e"], [2, 0])


def test_the_teacher_scores_every_document_of_the_group(tmp_path: Path) -> None:
    def texts(pairs: Sequence[str]) -> list[float]:
        return [float(len(text)) for text in pairs]

    options = {"teacher": "x", "distill_teacher": True, "likely_positive": 1.0, "likely_negative": 1.0}
    for group in _mine(tmp_path, COLLECTION, RUN, group_by="query", **options):
        assert group.teacher_scores == texts(group.docs)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), negatives=st.integers(1, 6), most=st.sampled_from([None, 1, 3, 50]))
def test_every_positive_is_in_one_group_or_counted(seed: int, negatives: int, most: int | None) -> None:
    collection, run = random_case(seed)
    options = MiningSettings(group_by="query", negatives=negatives, max_groups=most)
    with tempfile.TemporaryDirectory() as name:
        summary = mine(collection, run, options, 1, Path(name))
        groups = read_groups(Path(name))
    in_groups = [
        (group.query_id, d) for group in groups for d, y in zip(group.doc_ids, group.labels, strict=True) if y
    ]
    assert len(set(in_groups)) == len(in_groups)
    assert summary.positives == len(in_groups) + sum(summary.left_out.values())
    assert len({group.query_id for group in groups}) == len(groups) <= (most or len(groups))
    for group in groups:
        judged = collection.qrels["train"][group.query_id]
        positives = [d for d in group.doc_ids if judged.get(d, 0) > 0]
        assert set(positives) == {d for d, grade in judged.items() if grade > 0}
        assert group.labels == [max(0, judged.get(d, 0)) for d in group.doc_ids]
        assert group.labels == sorted(group.labels, reverse=True)
        assert 1 <= group.labels.count(0) <= negatives


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_with_one_positive_a_query_both_ways_are_the_same(seed: int) -> None:
    collection, run = random_case(seed)
    single = {
        q: dict(list(judged.items())[:1]) | dict.fromkeys(list(judged)[1:], 0)
        for q, judged in collection.qrels["train"].items()
    }
    for judged in single.values():
        judged[next(iter(judged))] = 2
    lone = Collection("c", collection.passages, collection.queries, {"train": single})
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        by_positive = _mine(Path(one), lone, run, group_by="positive")
        assert _mine(Path(other), lone, run, group_by="query") == by_positive
