"""Which generated queries are kept, and which passages are asked about."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstune.data import Bm25Settings
from crosstune.label_sources import GENERATED, LabelSource
from crosstune.labels.filters import Draft, ask_teacher, drop_known, round_trip
from crosstune.labels.folder import Labelled
from crosstune.labels.passages import choose_passages
from crosstune.records import Collection

PASSAGES = {
    "a": "how a file is opened and closed again",
    "b": "lists are sorted in place by their own method",
    "c": "a file is opened",
    "d": "strings are parsed into numbers",
    "e": "  ",
}
QUERIES = {"t": "open a file", "v": "sort the list in place", "x": "parse a number out of a string"}
COLLECTION = Collection(
    "c",
    PASSAGES,
    QUERIES,
    {"train": {"t": {"a": 1}}, "dev": {"v": {"b": 1}}, "test": {"x": {"d": 0, "c": 1}}},
)


def test_what_repeats_a_query_is_dropped() -> None:
    evaluation = {query_id: QUERIES[query_id] for query_id in ("v", "x")}
    drafts = [
        Draft("a", "1", "Open a FILE?"),
        Draft("b", "2", "sort the lists in place"),
        Draft("a", "3", "open a file now"),
        Draft("d", "4", "numbers"),
        Draft("d", "5", QUERIES["x"]),
    ]
    drop_known(drafts, QUERIES, evaluation)
    assert [draft.reason for draft in drafts] == [
        "known_query",
        "near_evaluation_query",
        None,  # near a train query: harmless
        None,
        "known_query",
    ]


def test_the_round_trip_looks_for_the_very_passage() -> None:
    drafts = [
        Draft("a", "1", "opened and closed file"),
        Draft("b", "2", "opened and closed file"),
        Draft("a", "3", "file opened"),
        Draft("d", "4", "nothing shared", reason="known_query"),
        Draft("d", "5", "zebra"),
    ]
    round_trip(drafts, COLLECTION, Bm25Settings(), best=1)
    assert [(draft.rank, draft.reason) for draft in drafts] == [
        (1, None),
        (None, "not_returned"),
        (2, "not_returned"),
        (None, "known_query"),
        (None, "not_returned"),
    ]
    again = [Draft("a", "3", "file opened")]
    round_trip(again, COLLECTION, Bm25Settings(), best=2)
    assert again[0].reason is None


def test_the_teacher_decides_by_its_logistic_score() -> None:
    logits = {"yes": 2.0, "half": 0.0, "no": -2.0}
    drafts = [Draft("a", text, text) for text in logits]
    asked: list[tuple[str, str]] = []

    def teacher(pairs: object) -> list[float]:
        asked.extend(pairs)  # type: ignore[call-overload]
        return [logits[query] for query, _ in pairs]  # type: ignore[attr-defined]

    ask_teacher(drafts, PASSAGES, teacher, 0.5)
    assert [draft.reason for draft in drafts] == [None, None, "below_teacher"]
    assert drafts[0].teacher_score == pytest.approx(0.8808, abs=1e-4)
    assert asked == [(text, PASSAGES["a"]) for text in logits]


def test_passages_of_the_evaluation_are_left_out_unless_asked_for() -> None:
    source = Labelled(Path(), COLLECTION, ())
    chosen = choose_passages(source, None, 1, evaluation=False)
    assert sorted(chosen.doc_ids) == ["a", "d"]
    assert chosen.left_out == {"empty": 1, "relevant_in_dev_or_test": 2, "not_drawn": 0}
    assert sorted(choose_passages(source, None, 1, evaluation=True).doc_ids) == ["a", "b", "c", "d"]
    generated = Labelled(Path(), COLLECTION, (LabelSource("test", "x", "c", GENERATED, "m"),))
    assert sorted(choose_passages(generated, None, 1, evaluation=False).doc_ids) == ["a", "c", "d"]
    drawn = choose_passages(source, 1, 1, evaluation=True)
    assert (len(drawn.doc_ids), drawn.left_out["not_drawn"]) == (1, 3)
    more = choose_passages(source, 3, 1, evaluation=True)
    assert more.doc_ids[:1] == drawn.doc_ids, "more passages take those that are paid for first"
