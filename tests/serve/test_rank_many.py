"""Many queries by one call: the hits of `rank`, in order, with a bounded look-ahead."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrated import calibrated
from crosstune.errors import InputError
from crosstune.serve import Query, RankedDocument, RankedQuery, Reranker
from crosstune.serve.stream import TOGETHER_DOCUMENTS
from event_loop import going_on
from models import WORDS
from served import tiny_export

RNG = random.Random(11)
DOCUMENTS = [" ".join(RNG.choices(WORDS, k=RNG.randint(1, 30))) for _ in range(40)]
RERANKER = Reranker(tiny_export())


def _queries(sizes: list[int]) -> list[tuple[str, list[str]]]:
    rng = random.Random(5)
    return [(" ".join(rng.choices(WORDS, k=2)), rng.choices(DOCUMENTS, k=size)) for size in sizes]


def _same(found: list[RankedDocument], expected: list[RankedDocument]) -> None:
    assert [hit.logit for hit in found] == pytest.approx([hit.logit for hit in expected], abs=1e-5)
    by_place = {hit.index: hit for hit in expected}
    for hit in found:
        assert hit.logit == pytest.approx(by_place[hit.index].logit, abs=1e-5)
        assert hit.document is by_place[hit.index].document


@settings(max_examples=8, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 40), st.just(520)), max_size=6))
def test_it_answers_each_query_as_rank_does(sizes: list[int]) -> None:
    queries = _queries(sizes)
    found = list(RERANKER.rank_many(iter(queries)))
    assert [answer.index for answer in found] == list(range(len(queries)))
    for answer, (query, documents) in zip(found, queries, strict=True):
        assert answer.given is queries[answer.index]
        _same(answer.hits, RERANKER.rank(query, documents))


def test_later_queries_are_not_read_yet() -> None:
    read = 0

    def endless() -> Iterator[Query]:
        nonlocal read
        while True:
            read += 1
            yield {"query": "open", "documents": (text for text in DOCUMENTS[:10]), "id": read}

    for number, answer in enumerate(RERANKER.rank_many(endless(), 3)):
        assert (answer.index, answer.given["id"], len(answer.hits)) == (number, number + 1, 3)
        assert read - number <= TOGETHER_DOCUMENTS // 10 + 1
        if number == 120:
            break
    assert read > 120


def test_queries_without_documents_and_long_texts_end_the_look_ahead_too() -> None:
    for documents in ([], ["file " * 100_000]):
        read = 0

        def endless(documents: list[str] = documents) -> Iterator[Query]:
            nonlocal read
            while True:
                read += 1
                yield "open", documents

        next(RERANKER.rank_many(endless()))
        assert read <= TOGETHER_DOCUMENTS


def test_what_was_read_before_an_error_is_answered() -> None:
    def breaking(last: Any) -> Iterator[Any]:
        yield from _queries([3, 2])
        if isinstance(last, Exception):
            raise last
        yield last

    for last, kind, message in [
        ("ab", InputError, r"query 2: \(query, documents\) or a mapping with these was expected, found str"),
        (("a", "b", "c"), InputError, "query 2: .*found tuple"),
        ({"query": "a"}, InputError, "query 2: has no 'documents'; its fields are query"),
        (("a", ["b", 3]), InputError, "query 2: document 1: a string or a mapping was expected"),
        ((None, ["b"]), InputError, "query 2: query: a string was expected"),
        ({"query": "a", "documents": ["b"], "first_stage_scores": []}, InputError, "query 2: first_stage"),
        (OSError("the disk is gone"), OSError, "the disk is gone"),
    ]:
        found: list[RankedQuery] = []
        with pytest.raises(kind, match=message):
            for answer in RERANKER.rank_many(breaking(last)):
                found.append(answer)
        assert [len(answer.hits) for answer in found] == [3, 2]
        waited: list[RankedQuery] = []
        with pytest.raises(kind, match=message):
            asyncio.run(_gather(RERANKER.arank_many(breaking(last)), waited))
        assert [len(answer.hits) for answer in waited] == [3, 2]


async def _gather(answers: AsyncIterator[RankedQuery], into: list[RankedQuery]) -> None:
    async for answer in answers:
        into.append(answer)


@pytest.mark.parametrize(
    ("queries", "options", "message"),
    [
        ({"query": "a", "documents": []}, {}, "queries: a list or another iterable .* found dict"),
        ("ab", {}, "queries: .* found str"),
        (None, {}, "queries: .* found NoneType"),
        ([], {"top_k": 0}, "top_k is 0"),
    ],
)
def test_what_is_wrong_with_the_call_is_said_by_the_call(queries: Any, options: Any, message: str) -> None:
    for call in (RERANKER.rank_many, RERANKER.arank_many):
        with pytest.raises(InputError, match=message):
            call(queries, **options)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_async_twin_reads_either_kind_and_lets_the_loop_go_on(asynchronous: bool) -> None:
    queries = _queries([5, 0, 300, 300, 7])
    read = 0

    def plain() -> Iterator[Query]:
        nonlocal read
        for query in queries:
            read += 1
            yield query

    async def waiting() -> AsyncIterator[Query]:
        for query in plain():
            await asyncio.sleep(0)
            yield query

    async def ask() -> list[RankedQuery]:
        found = []
        async with going_on():
            async for answer in RERANKER.arank_many(waiting() if asynchronous else plain()):
                found.append(answer)
                assert answer.index > 3 or read == 4
        return found

    found = asyncio.run(ask())
    for answer, (query, documents) in zip(found, queries, strict=True):
        _same(answer.hits, RERANKER.rank(query, documents))


def test_fusion_threshold_and_fields_are_those_of_rank(tmp_path: Path) -> None:
    folder = calibrated(tmp_path / "export", fusion={"weight": 1000.0})
    fusing = Reranker(folder)
    rows = [{"body": text} for text in DOCUMENTS[:4]]
    first = [1.0, 4.0, 2.0, 3.0]
    query = {"query": "open", "documents": rows, "first_stage_scores": iter(first)}
    (answer,) = fusing.rank_many([query], 3, text_field="body")
    assert [hit.index for hit in answer.hits] == [1, 3, 2]
    assert answer.hits == fusing.rank("open", rows, 3, text_field="body", first_stage_scores=first)
    with pytest.raises(InputError, match="query 0: above_threshold: this export has no threshold"):
        list(RERANKER.rank_many([("open", ["file"])], above_threshold=True))


def test_only_what_reaches_the_threshold_is_answered(tmp_path: Path) -> None:
    logits = sorted(score.logit for score in RERANKER.score([("open", text) for text in DOCUMENTS[:9]]))
    least = 1 / (1 + math.exp(-(logits[5] + logits[6]) / 2))
    folder = calibrated(
        tmp_path / "export",
        calibration={"logit": {"method": "temperature", "temperature": 1.0}},
        threshold={"wanted": {"recall": 0.9}, "logit": {"probability": least}},
    )
    queries = [("open", DOCUMENTS[:9]), ("open", []), ("open", DOCUMENTS[:9])]
    found = list(Reranker(folder).rank_many(queries, above_threshold=True))
    assert [len(answer.hits) for answer in found] == [3, 0, 3]
