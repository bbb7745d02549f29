"""How deep a budget reaches: by a clock that work moves on, and on the real helper."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.errors import InputError
from crosstune.serve import RankedDocument, Ranking, Reranker, UnscoredDocument
from crosstune.serve.budget import deadline_after, makespan, score_until
from event_loop import going_on
from served import tiny_export

QUERY = "open the file"
TEXTS = [
    f"{word} the {other} {word}" for word in ("open", "close", "sort", "read") for other in ["file", "list"]
]


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    return Reranker(tiny_export())


class Text(str):
    """Scored as one row of its own length."""

    @property
    def lengths(self) -> list[int]:
        return [len(self)]


@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=60),
    budget=st.floats(0.01, 20_000),
    threads=st.integers(1, 8),
)
def test_it_scores_from_the_first_on_and_ends_in_time(
    lengths: list[int], budget: float, threads: int
) -> None:
    now = 0.0

    def encode(texts: list[str]) -> list[Text]:
        return list(map(Text, texts))

    def score(part: list[Text]) -> list[float]:
        nonlocal now
        now += makespan([len(text) for text in part], threads, 512)  # one slot, one second
        return [float(len(text)) for text in part]

    texts = ["x" * length for length in lengths]
    done, values = score_until(budget, texts, encode, score, threads, 512, clock=lambda: now)
    assert done == texts[: len(done)]
    assert values == [float(len(text)) for text in done]
    assert len(done) >= 1
    assert now <= budget or len(done) == 1
    if len(done) < len(texts):  # the next one did not fit
        assert now + len(texts[len(done)]) > budget


def test_work_that_gets_slower_is_counted_at_its_new_pace() -> None:
    now = 0.0

    def encode(texts: list[str]) -> list[Text]:
        return list(map(Text, texts))

    def score(part: list[Text]) -> list[float]:
        nonlocal now
        now += len(part) * (1.0 if now < 10 else 50.0)
        return [0.0] * len(part)

    done, _ = score_until(1000.0, ["x" * 500] * 100, encode, score, 1, 512, clock=lambda: now)
    assert now <= 1000.0
    assert 20 < len(done) < 40


def test_nothing_is_tokenised_or_scored_after_the_end() -> None:
    def never(texts: list[str]) -> list[str]:
        raise AssertionError(texts)

    assert score_until(1.0, ["a"], never, never, 2, 512, clock=lambda: 1.0) == ([], [])


@pytest.mark.parametrize(
    ("lengths", "threads", "expected"),
    [([512], 2, 512), ([256, 256], 1, 512), ([500, 400, 300], 2, 700), ([10], 4, 10)],
)
def test_makespan_by_hand(lengths: list[int], threads: int, expected: int) -> None:
    assert makespan(lengths, threads, 512) == expected


@pytest.mark.parametrize("budget", [600_000, np.float32(600_000), np.int64(600_000), 10**400])
def test_a_budget_that_suffices_changes_nothing(reranker: Reranker, budget: Any) -> None:
    ranked = reranker.rank(QUERY, TEXTS)
    within = reranker.rank(QUERY, TEXTS, budget_ms=budget)
    assert within.scored == len(TEXTS)
    assert [hit.index for hit in within] == [hit.index for hit in ranked]
    assert [hit.logit for hit in within] == pytest.approx([hit.logit for hit in ranked], abs=1e-5)


def test_a_budget_without_time_keeps_the_order_given(reranker: Reranker) -> None:
    ranking = reranker.rank(QUERY, TEXTS, budget_ms=1e-6)
    assert ranking.scored == 0
    assert [hit.index for hit in ranking] == list(range(len(TEXTS)))
    assert ranking[0] == UnscoredDocument(0, TEXTS[0])
    assert len(reranker.rank(QUERY, TEXTS, top_k=3, budget_ms=1e-6)) == 3
    assert len(reranker.rank(QUERY, TEXTS, top_k=10**30, budget_ms=1e-6)) == len(TEXTS)
    assert reranker.rank(QUERY, [], budget_ms=5) == []


def test_the_unscored_follow_below_the_scored(reranker: Reranker) -> None:
    """A long list, and a budget that is doubled until it reaches some of it."""
    texts = TEXTS * 500
    budget, ranking = 1.0, Ranking([], 0)
    while not 0 < ranking.scored < len(texts) and budget < 600_000:
        ranking = reranker.rank(QUERY, texts, budget_ms=budget)
        budget *= 2
    scored, rest = ranking[: ranking.scored], ranking[ranking.scored :]
    assert 0 < ranking.scored < len(texts)
    assert all(isinstance(hit, RankedDocument) for hit in scored)
    assert sorted(hit.index for hit in scored) == list(range(ranking.scored))
    whole = reranker.rank(QUERY, texts[: ranking.scored])
    assert [hit.logit for hit in scored] == pytest.approx([hit.logit for hit in whole], abs=1e-5)
    assert [hit.index for hit in rest] == list(range(ranking.scored, len(texts)))
    assert {field.name for field in dataclasses.fields(RankedDocument)} == {
        field.name for field in dataclasses.fields(UnscoredDocument)
    }
    assert rest[0].logit is None


def test_the_deadline_is_as_exact_as_the_clock() -> None:
    """In fp32 a clock that has run for days has steps of 60 ms."""
    before = time.perf_counter()
    deadline = deadline_after(np.float32(5))  # type: ignore[arg-type]
    assert type(deadline) is float
    assert before + 0.005 <= deadline <= time.perf_counter() + 0.005


@pytest.mark.parametrize("budget", [0, -1.0, float("nan")])
def test_a_budget_must_be_above_nothing(reranker: Reranker, budget: float) -> None:
    with pytest.raises(InputError, match="budget_ms is"):
        reranker.rank(QUERY, TEXTS, budget_ms=budget)


def test_the_async_twins_answer_as_the_others(reranker: Reranker) -> None:
    async def ask() -> None:
        pairs = [(QUERY, text) for text in TEXTS]
        async with going_on():
            ranked, part, scores = await asyncio.gather(
                reranker.arank(QUERY, TEXTS, 3),
                reranker.arank(QUERY, TEXTS, budget_ms=600_000),
                reranker.ascore(pairs),
            )
        assert [hit.index for hit in ranked] == [hit.index for hit in reranker.rank(QUERY, TEXTS, 3)]
        assert part.scored == len(TEXTS)
        assert [score.logit for score in scores] == pytest.approx(
            [score.logit for score in reranker.score(pairs)], abs=1e-5
        )
        with pytest.raises(InputError, match="top_k is 0"):
            await reranker.arank(QUERY, TEXTS, 0)

    asyncio.run(ask())


def test_waiting_for_a_thread_is_part_of_the_budget(reranker: Reranker) -> None:
    async def ask() -> Ranking:
        free = threading.Event()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        busy = asyncio.create_task(asyncio.to_thread(free.wait))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(reranker.arank(QUERY, TEXTS, budget_ms=1))
        await asyncio.sleep(0.05)
        free.set()
        await busy
        return await waiting

    assert asyncio.run(ask()).scored == 0
