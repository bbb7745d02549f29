"""What `Reranker` takes, and what it refuses before it scores anything; its async twins do the same."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from crosstune.errors import InputError
from crosstune.serve import Reranker
from crosstune.serve.given import MOST_CHARACTERS, MOST_DOCUMENTS
from served import tiny_export

QUERY = "open the file"
TEXTS = ["close it", "sort the list", "open a file"]
PAIRS = [(QUERY, text) for text in TEXTS]
SECRET = "zebrafish"


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    return Reranker(tiny_export())


def _once(values: Any) -> Iterator[Any]:
    yield from values


def _view(values: Any) -> Any:
    return dict.fromkeys(values).keys()


@pytest.mark.parametrize("form", [list, tuple, iter, _once, _view])
def test_what_can_be_gone_through_once_is_ranked_and_scored(reranker: Reranker, form: Any) -> None:
    expected = [score.logit for score in reranker.score(PAIRS)]
    for scores in (reranker.score(form(PAIRS)), asyncio.run(reranker.ascore(form(PAIRS)))):
        assert [score.logit for score in scores] == pytest.approx(expected, abs=1e-5)
    order = [(hit.index, hit.document) for hit in reranker.rank(QUERY, TEXTS)]
    for hits in (reranker.rank(QUERY, form(TEXTS)), asyncio.run(reranker.arank(QUERY, form(TEXTS)))):
        assert [(hit.index, hit.document) for hit in hits] == order


def test_sets_arrays_and_scores_that_are_gone_through_once(reranker: Reranker) -> None:
    order = [hit.document for hit in reranker.rank(QUERY, TEXTS)]
    assert [hit.document for hit in reranker.rank(QUERY, set(TEXTS))] == order
    assert [hit.document for hit in reranker.rank(QUERY, np.array(TEXTS), np.int64(2))] == order[:2]
    assert reranker.score(np.array(PAIRS))[0].logit == pytest.approx(reranker.score(PAIRS)[0].logit, abs=1e-5)
    first = (score for score in (3.0, 2.0, 1.0))
    assert [hit.document for hit in reranker.rank(QUERY, TEXTS, first_stage_scores=first)] == order
    assert (reranker.rank(QUERY, []), reranker.score([])) == ([], [])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_scores_of_any_precision(reranker: Reranker, kind: Any) -> None:
    assert len(reranker.rank(QUERY, TEXTS, first_stage_scores=np.array([3, 2, 1], dtype=kind))) == len(TEXTS)
    for value in (np.inf, -np.inf, np.nan):
        scores = np.array([3, value, 1], dtype=kind)
        with pytest.raises(InputError, match=r"first_stage_scores: entry 1 is .*; a finite number"):
            reranker.rank(QUERY, TEXTS, first_stage_scores=scores)
    with pytest.raises(InputError, match=r"entry 0 .* a finite number"):
        reranker.rank(QUERY, TEXTS, first_stage_scores=[10**400, 2, 1])


def test_a_text_is_cut_where_it_is_not_read_to_its_end(reranker: Reranker) -> None:
    """The rule's 48 tokens are read from 64 characters each at most."""
    blanks = " " * (48 * 64)
    hits = reranker.rank(QUERY, ["open", f"{blanks}open", blanks * 2])
    assert {hit.index: hit.cut for hit in hits} == {0: False, 1: True, 2: False}
    assert reranker.score([(f"{blanks}open", "open")])[0].cut


def test_many_pairs_are_read_in_parts(reranker: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(QUERY, " ".join(TEXTS[: 1 + number % 3])) for number in range(50)]
    expected = [score.logit for score in reranker.score(pairs)]
    monkeypatch.setattr("crosstune.serve.scorer.PAIRS_AT_ONCE", 7)
    monkeypatch.setattr("crosstune.parts.ENCODED_CHARACTERS", 100)
    assert [score.logit for score in reranker.score(pairs)] == pytest.approx(expected, abs=1e-5)


def _many(count: int) -> Iterator[str]:
    """Fails when it is read beyond the first that is too many."""
    yield from itertools.repeat("a", count)
    raise AssertionError("was read on")


RANKS: list[tuple[dict[str, Any], str]] = [
    ({"query": None}, "query: a string was expected, found NoneType"),
    ({"query": None, "documents": SECRET}, "query: a string was expected, found NoneType"),
    ({"documents": SECRET}, "documents: a list or another iterable .* found str; put it into a list"),
    ({"documents": SECRET.encode()}, "documents: .* found bytes"),
    ({"documents": {"text": SECRET}}, "documents: .* found dict; put it into a list"),
    ({"documents": None}, "documents: .* found NoneType$"),
    ({"documents": 3}, "documents: .* found int$"),
    ({"documents": ["a", 3]}, "document 1: a string or a mapping was expected, found int"),
    ({"documents": ["a", {"body": SECRET}]}, "document 1: 'text' is no string; its fields are body"),
    ({"text_field": []}, "text_field: a string was expected, found list"),
    (
        {"documents": lambda: _many(MOST_DOCUMENTS + 1)},
        "documents: more than 1,000,000 were given.*crosstune score",
    ),
    ({"query": lambda: "a" * (MOST_CHARACTERS + 1)}, "query: a text of 100,000,001 characters.*; cut it"),
    (
        {"documents": lambda: ["a", "a" * (MOST_CHARACTERS + 1)]},
        "document 1: a text of 100,000,001 characters",
    ),
    ({"top_k": 0}, "top_k is 0"),
    ({"top_k": 1.5}, "top_k is 1.5; a whole number of at least 1"),
    ({"top_k": "3"}, "top_k is '3'; a whole number"),
    ({"top_k": True}, "top_k is True; a whole number"),
    ({"budget_ms": "3"}, "budget_ms is '3'"),
    ({"budget_ms": True}, "budget_ms is True"),
    ({"budget_ms": np.float32(-1)}, "budget_ms is"),
    ({"budget_ms": 9.0, "explain": True}, "explain and budget_ms"),
    ({"first_stage_scores": [1.0]}, "found 1 scores for 3 documents"),
    ({"first_stage_scores": 3.0}, "first_stage_scores: .* found float$"),
    ({"first_stage_scores": "123"}, "first_stage_scores: .* found str"),
]
PAIR_LISTS: list[tuple[Any, str]] = [
    (["ab"], "pair 0: two strings were expected, found str$"),
    ([PAIRS[0], {"query": "a", "document": SECRET}], "pair 1: two strings were expected, found dict$"),
    ([{"a", SECRET}], "pair 0: .* found set$"),
    ([(None, SECRET)], "pair 0: two strings were expected, found tuple of NoneType, str$"),
    ([("a", SECRET, "c")], "pair 0: .* found tuple of str, str, str$"),
    ([PAIRS[0], 3], "pair 1: .* found int$"),
    ("ab", "pairs: a list .* found str"),
    (dict(PAIRS), "pairs: a list .* found dict"),
    (None, "pairs: .* found NoneType$"),
    (lambda: [("a", "a" * (MOST_CHARACTERS + 1))], "pair 0: a text of 100,000,001 characters"),
    (lambda: zip(_many(MOST_DOCUMENTS + 1), itertools.repeat("a")), "pairs: more than 1,000,000 were given"),
]


@pytest.mark.parametrize(("given", "message"), RANKS, ids=[message for _, message in RANKS])
@pytest.mark.parametrize("waiting", [False, True])
def test_what_rank_refuses(reranker: Reranker, given: dict[str, Any], message: str, waiting: bool) -> None:
    made = {name: value() if callable(value) else value for name, value in given.items()}
    call = {"query": QUERY, "documents": TEXTS} | made
    with pytest.raises(InputError, match=message) as refused:
        asyncio.run(reranker.arank(**call)) if waiting else reranker.rank(**call)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(("given", "message"), PAIR_LISTS, ids=[message for _, message in PAIR_LISTS])
@pytest.mark.parametrize("waiting", [False, True])
def test_what_score_refuses(reranker: Reranker, given: Any, message: str, waiting: bool) -> None:
    pairs = given() if callable(given) else given
    with pytest.raises(InputError, match=message) as refused:
        asyncio.run(reranker.ascore(pairs)) if waiting else reranker.score(pairs)
    assert SECRET not in str(refused.value)


def test_explain_refuses_the_same(reranker: Reranker) -> None:
    for given, message in [
        ((None, "a"), "query: a string"),
        (("a", 3), "document 0: a string or a mapping"),
        (("a", "a", 1.5), "max_words is 1.5; a whole number"),
    ]:
        with pytest.raises(InputError, match=re.escape(message)):
            reranker.explain(*given)
