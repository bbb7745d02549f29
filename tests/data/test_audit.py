"""The audit finds what was put into a collection, and its page loads nothing and escapes everything."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import pytest

from crosstune.data.audit import Audit, audit, render_audit
from crosstune.data.audit.boilerplate import Phrase, find_boilerplate
from crosstune.data.audit.near_passages import EACH_WITH_EACH, find_equal_passages
from crosstune.near_equal import find_equal
from crosstune.records import Collection
from crosstune.serve.pairs import LengthRule
from crosstune.serve.windows import Windows

HOSTILE = "<script>alert(1)</script>"
PASSAGES = {
    "shared": "wings in supersonic flow have a shock",
    "a": "heat transfer through a plate that is cooled",
    "A": "Heat  transfer through a plate that is cooled",
    "b": "boundary layers on a flat surface " * 9,
    "h": HOSTILE,
}
QUERIES = {
    "t1": "What is heat transfer?",
    "t2": "how thick is a boundary layer on a plate",
    "e1": "what is HEAT transfer",
    "e2": "how thick is a boundary layer on plates",
    "e3": f"nothing of this {HOSTILE}",
}
QRELS = {
    "train": {"t1": {"a": 1, "shared": 2}, "t2": {"b": 1}},
    "test": {"e1": {"A": 1}, "e2": {"shared": 1}, "e3": {"h": 1}},
}


def _row(doc_id: str, similarity: float | None, teacher: float | None, reason: str) -> dict[str, Any]:
    return {
        "query_id": "t1",
        "doc_id": doc_id,
        "rank": 1,
        "similarity": similarity,
        "teacher_score": teacher,
        "reason": reason,
    }


def _words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


@pytest.fixture
def found() -> Audit:
    return _audit(None)


def _audit(windows: Windows | None) -> Audit:
    collection = Collection("air", PASSAGES, QUERIES, QRELS)  # type: ignore[arg-type]
    runs = {"train": {"t1": {"b": 3.0, "a": 2.0}, "t2": {"b": 1.0}}}
    ledger = [
        _row("A", 1.0, None, "near_copy"),
        _row("b", 0.3, 0.7, "doubtful"),
        _row("a", None, None, "judged_positive"),
        _row("h", 0.2, None, "taken"),
    ]
    return audit(
        collection, runs, ledger, _words, LengthRule(max_tokens=20, max_query_tokens=8, windows=windows)
    )


def test_leakage_by_id(found: Audit) -> None:
    (overlap,) = found.overlaps
    assert (overlap.earlier, overlap.later) == ("train", "test")
    assert overlap.equal_queries == {"e1": "t1"}
    assert overlap.near_queries == {"e2": "t2"}
    assert overlap.positives == ["shared"]
    assert overlap.equal_positives == {"A": "a"}
    assert overlap.near_positives == {}
    assert overlap.of_positives == 3
    assert "2 of 3 positives are shared" in render_audit(found)
    assert "A = a" in render_audit(found)


def _prose(rng: random.Random, words: int = 25) -> list[str]:
    return ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(3, 9))) for _ in range(words)]


def test_positives_that_differ_by_one_word_are_named_by_id() -> None:
    rng = random.Random(2)
    train = {f"a{n}": _prose(rng) for n in range(10)}
    test = {f"b{n}": [*words[:12], "changed", *words[13:]] for n, words in enumerate(train.values())}
    passages = {d: " ".join(words) for d, words in (train | test).items()}
    queries = {f"q{d}": f"query {n} {d}" for n, d in enumerate(passages)}
    qrels = {"train": {f"q{d}": {d: 1} for d in train}, "test": {f"q{d}": {d: 1} for d in test}}
    collection = Collection("near", passages, queries, qrels)  # type: ignore[arg-type]
    found = audit(collection, {}, [], _words, LengthRule(max_tokens=64, max_query_tokens=32))
    (overlap,) = found.overlaps
    assert overlap.near_positives == {f"b{n}": f"a{n}" for n in range(10)}
    assert "10 of 10 test positives are train positives too, or equal or nearly equal one" in " ".join(
        found.advice
    )
    page = render_audit(found)
    assert "10 of 10 positives are shared" in page
    assert "b3 ≈ a3" in page
    assert "rare words" not in page
    words = dataclasses.replace(overlap, all_compared=False)
    assert "rare words" in render_audit(dataclasses.replace(found, overlaps=[words]))


def test_many_positives_are_compared_by_their_rare_words() -> None:
    """As comparing each with each finds them, copies with a word in ten replaced among them."""
    rng = random.Random(3)
    known = {f"a{n}": _prose(rng) for n in range(400)}
    asked = {f"b{n}": _prose(rng) for n in range(260)}
    for n in range(20):
        copy = list(known[f"a{n}"])
        for place in rng.sample(range(25), n % 3):
            copy[place] = "x" * len(copy[place])
        asked[f"c{n}"] = copy
    texts = [{d: " ".join(words) for d, words in side.items()} for side in (known, asked)]
    texts[0]["one"], texts[1]["other"] = "colour", "Colour!"
    assert len(texts[0]) * len(texts[1]) > EACH_WITH_EACH
    equal, near = find_equal_passages(texts[0], texts[1])
    assert (equal, near) == find_equal(texts[0], texts[1])
    assert len(equal) == 8
    assert len(near) == 13


def test_recall_by_depth_is_over_all_positives(found: Audit) -> None:
    assert found.recall["train"]["R@1"] == pytest.approx((0 + 1) / 2)
    assert found.recall["train"]["R@5"] == pytest.approx((1 / 2 + 1) / 2)
    assert "test" not in found.recall


def test_lengths_and_what_is_cut(found: Audit) -> None:
    assert found.lengths["passages"]["longest"] == 54
    assert found.lengths["passages"]["cut"] == pytest.approx(1 / 5)  # b alone
    assert found.lengths["queries"]["cut"] == pytest.approx(1 / 5)  # t2 has 9 words


def test_what_windows_hold_is_not_cut() -> None:
    """54 words, 13 at once beside the middle query of 4."""
    assert _audit(Windows(0, 4)).lengths["passages"]["cut"] == pytest.approx(1 / 5)
    assert _audit(Windows(0, 5)).lengths["passages"]["cut"] == 0
    assert "train.max_tokens" not in " ".join(_audit(Windows(0, 5)).advice)


def test_suspects_come_by_teacher_or_similarity_and_are_never_judged(found: Audit) -> None:
    assert [(row["doc_id"], row["suspicion"]) for row in found.suspects] == [
        ("A", 1.0),
        ("b", 0.7),
        ("h", 0.2),
    ]


def test_repeated_passages_labels_and_languages(found: Audit) -> None:
    assert [set(ids) for ids in found.repeated_passages] == [{"a", "A"}]
    assert found.labels["train"]["grades"] == 2
    assert found.labels["train"]["positives a query, mean"] == 1.5
    assert max(found.languages, key=lambda name: found.languages[name]) == "en"


def test_each_finding_has_its_advice(found: Audit) -> None:
    text = " ".join(found.advice)
    for part in (
        "train.max_tokens",
        "improve the first stage",
        "2 test queries equal or nearly",
        "2 of 3 test",
        "20 % of the queries are cut at max_query_tokens = 8: raise train.max_query_tokens",
        "2 unjudged candidates may be positives (teacher's score, or similarity to a positive, from 0.7)",
        "0 of them are taken as negatives: answer them in crosstune review RUN",
    ):
        assert part in text
    assert "2 passages share 1 texts" in text


def test_queries_without_a_positive_have_their_advice() -> None:
    qrels = {"train": {"t1": {"a": 1}, "t2": {"b": 0}}, "test": {"e1": {"A": 0}, "e2": {"b": 1}}}
    collection = Collection("air", PASSAGES, QUERIES, qrels)  # type: ignore[arg-type]
    text = " ".join(audit(collection, {}, [], _words, LengthRule(max_tokens=64, max_query_tokens=32)).advice)
    assert "1 of 2 train queries have no positive: they give no training group" in text
    assert "1 of 2 test queries have no positive: they count 0 in each measure" in text
    assert "take their lines out of qrels/test.tsv" in text
    assert "unjudged candidates" not in text


def test_the_page_loads_nothing_and_escapes_everything(found: Audit) -> None:
    page = render_audit(found)
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page
    assert "src=" not in page


def test_boiler_plate_is_named_once_with_its_passages() -> None:
    notice = "all rights reserved by the owners of this text"
    texts = {f"d{n}": f"passage {n} about {n * n} things {notice if n < 25 else n}" for n in range(60)}
    phrases = _eights(f"things {notice}")
    held = Phrase(25, ["d0", "d1", "d2", "d3", "d4"])
    assert find_boilerplate(texts) in [{phrase: held} for phrase in phrases]
    assert find_boilerplate({"a": notice, "b": notice}) == {}


def test_passages_with_boiler_plate_are_named() -> None:
    notice = "all rights reserved by the owners of this text"
    passages = {f"d{n}": f"{n} {notice}" for n in range(30)}
    collection = Collection("air", passages, {"t": "rights"}, {"train": {"t": {"d0": 1}}})
    page = render_audit(audit(collection, {}, [], _words, LengthRule(max_tokens=64, max_query_tokens=32)))
    assert "30 passages (d0, d1, d2, d3, d4, …): " in page


def _eights(text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[i : i + 8]) for i in range(len(words) - 7)]


def test_symbols_tell_texts_of_code_apart() -> None:
    known = {"plus": "is C++ good?", "empty": "?!", "void": ""}
    equal, near = find_equal(known, {"same": "Is c++ good", "c": "is c good", "none": "", "dots": "..."})
    assert equal == {"same": "plus"}
    assert near.keys() <= {"c"}
