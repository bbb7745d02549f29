"""Many clients at once: every answer is the helper's, the queue has an end, and who goes frees the place."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from crosstune.serve import Reranker, Score
from crosstune.serve.http.batcher import Batcher, Pace, Ticket
from crosstune.serve.http.metrics import Metrics
from crosstune.serve.http.model import Engine, load
from crosstune.serve.http.options import Options
from crosstune.serve.http.refusal import Refusal
from crosstune.serve.http.service import Lengths, _prepare
from crosstune.serve.pairs import STYLES
from sealed import manifest, rewrite
from served import Reply, Served, serving, tiny_export

WORDS = "file list open close sort read write path".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(tiny_export(), f"other={tiny_export(1)}") as running:
        yield running


def test_requests_of_all_sizes_at_once_get_the_helpers_answers(served: Served) -> None:
    rng = random.Random(3)
    helpers = {"tiny": Reranker(tiny_export()), "other": Reranker(tiny_export(1))}
    asks = []
    for number in range(60):
        query = " ".join(rng.choices(WORDS, k=rng.randint(0, 30)))
        count = rng.choice([1, 2, 5, 80])
        documents = [" ".join(rng.choices(WORDS, k=rng.randint(0, 60))) for _ in range(count)]
        asks.append((("tiny", "other")[number % 2], query, documents))

    def ask(what: tuple[str, str, list[str]]) -> list[float]:
        model, query, documents = what
        body = {"model": model, "query": query, "documents": documents, "raw_scores": True}
        reply = served.post("/infinity/rerank", body)
        assert reply.status == 200, reply.body
        results = reply.json["results"]
        assert [row["relevance_score"] for row in results] == sorted(
            (row["relevance_score"] for row in results), reverse=True
        )
        by_index = {row["index"]: row["relevance_score"] for row in results}
        return [by_index[index] for index in range(len(documents))]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, asks))
    for (model, query, documents), logits in zip(asks, found, strict=True):
        expected = helpers[model].score([(query, text) for text in documents])
        assert logits == pytest.approx([score.logit for score in expected], abs=1e-4)
    batches = served.metric("crosstune_batch_requests_count")
    assert served.metric("crosstune_batch_requests_sum") > batches, "requests shared batches"


def test_a_queue_that_is_full_says_when_to_come_back() -> None:
    body = {"model": "tiny", "query": "open", "documents": ["open the file " * 30] * 1000}

    def ask(served: Served) -> Reply:
        return served.post("/cohere/v2/rerank", body)

    with serving(tiny_export(), "--queue-seconds", 0.1) as served, ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(ask, [served] * 24))
        refused = [reply for reply in replies if reply.status == 429]
        assert {reply.status for reply in replies} == {200, 429}
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
        assert all(set(reply.json) == {"message"} for reply in refused)
        assert ask(served).status == 200, "an empty queue takes it again"


def test_a_client_that_goes_frees_its_place(served: Served) -> None:
    body = json.dumps({"query": "open", "texts": ["open the file " * 30] * 1000}).encode()
    head = "POST /tei/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    before = served.metric("crosstune_clients_gone_total")
    for _ in range(4):
        with socket.create_connection(served.address, timeout=10) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.15)
    deadline = time.monotonic() + 30
    while served.metric("crosstune_queued_seconds") > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert served.metric("crosstune_queued_seconds") == 0
    assert served.metric("crosstune_clients_gone_total") > before


def test_no_answer_in_time_is_503() -> None:
    body = {"query": "open", "texts": ["close"] * 1000}  # few tokens, in a thousand batches
    limits = ("--timeout-seconds", 0.5, "--queue-seconds", 1000, "--batch-tokens", 1)
    with serving(tiny_export(), *limits) as served:
        with ThreadPoolExecutor(12) as pool:
            replies = list(pool.map(lambda _: served.post("/tei/rerank", body), range(12)))
        late = [reply for reply in replies if reply.status != 200]
        assert {reply.status for reply in late} == {503}
        for reply in late:
            assert reply.json["error_type"] == "Unhealthy"
            assert int(reply.headers["retry-after"]) >= 1
        small = {"query": "a", "texts": ["b"]}
        statuses = (served.post("/tei/rerank", small).status for _ in range(100))
        assert 200 in statuses, "its place is free again"


class Recorder:
    """An engine's reranker that notes what it is asked, and fails on the word `poison`."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        self.batches.append([text for _, text in pairs])
        if any(text == "poison" for _, text in pairs):
            raise RuntimeError("poison")
        return [Score(float(len(text)), 0.5, False) for _, text in pairs]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load("tiny", tiny_export())


def _recording(engine: Engine) -> tuple[Engine, Recorder]:
    recorder = Recorder()
    return replace(engine, reranker=recorder), recorder  # type: ignore[arg-type]


async def _all_at_once(
    batcher: Batcher, engine: Engine, requests: Sequence[Sequence[str]], length: int
) -> tuple[list[object], list[int]]:
    """Results in the order asked, and the requests in the order in which they ended."""
    ended: list[int] = []

    async def one(number: int, texts: Sequence[str]) -> list[Score]:
        with batcher.admit(engine, 1) as ticket:
            scored = await batcher.score(
                ticket, engine, [("q", text) for text in texts], [length] * len(texts)
            )
        ended.append(number)
        return scored.scores

    worker = asyncio.create_task(batcher.run())
    try:
        found = await asyncio.gather(
            *(one(number, texts) for number, texts in enumerate(requests)), return_exceptions=True
        )
        return list(found), ended
    finally:
        worker.cancel()
        batcher.close()


def test_a_small_request_does_not_wait_for_the_large_one_before_it(engine: Engine) -> None:
    async def run() -> list[int]:
        recording, recorder = _recording(engine)
        batcher = Batcher(Options(batch_tokens=1000), Metrics())
        requests = [["large" for _ in range(100)], ["s"], ["t", "u"]]
        found, ended = await _all_at_once(batcher, recording, requests, 100)
        assert [len(scores) for scores in found] == [100, 1, 2]  # type: ignore[arg-type]
        assert max(map(len, recorder.batches)) <= 11, "about the budget"
        return ended

    assert asyncio.run(run()) == [1, 2, 0]


def test_a_priority_overtakes_for_a_bounded_time(engine: Engine) -> None:
    """A request of the first priority overtakes what came at most `queue_seconds` before it."""
    asked = {
        "early": (0.0, 0),
        "attack": (12.0, -(2**31)),
        "late": (3.0, 0),
        "urgent": (3.5, -1),
        "low": (3, 1),
    }

    async def run() -> list[str]:
        recording, recorder = _recording(engine)
        batcher = Batcher(Options(batch_tokens=1, queue_seconds=10.0), Metrics())
        jobs = [
            batcher.score(Ticket(0.0, admitted), recording, [("q", name)], [1], priority)
            for name, (admitted, priority) in asked.items()
        ]
        waiting = asyncio.gather(*jobs)
        await asyncio.sleep(0)  # all are in the queue
        worker = asyncio.create_task(batcher.run())
        await waiting
        worker.cancel()
        batcher.close()
        return [text for batch in recorder.batches for text in batch]

    assert asyncio.run(run()) == ["urgent", "early", "attack", "late", "low"]


def test_what_cannot_end_in_time_is_refused_at_once(engine: Engine) -> None:
    """With nothing beside it: accepted, it would keep others out, fail, and be tried again."""

    async def run() -> tuple[object, list[list[str]]]:
        recording, recorder = _recording(replace(engine, rate=1000.0))
        batcher = Batcher(Options(timeout_seconds=2), Metrics())
        (found,), _ = await _all_at_once(batcher, recording, [["a"] * 300], 10)
        return found, recorder.batches

    refusal, batches = asyncio.run(run())
    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.retry_after, batches) == ("too_many", None, [])
    assert "300 documents of this length are about 3.0 s of work here" in refusal.message
    assert "send about 100 a request" in refusal.message


def test_a_request_that_breaks_the_engine_breaks_no_other(engine: Engine) -> None:
    async def run() -> list[object]:
        recording, _ = _recording(engine)
        batcher = Batcher(Options(), Metrics())
        found, _ = await _all_at_once(batcher, recording, [["abc", "de"], ["poison"], ["f"]], 5)
        return found

    first, second, third = asyncio.run(run())
    assert [score.logit for score in first] == [3, 2]  # type: ignore[attr-defined]
    assert isinstance(second, Refusal) and second.kind == "backend"
    assert [score.logit for score in third] == [1]  # type: ignore[attr-defined]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("room", [1, 4, 5, 9])
def test_a_document_is_cut_to_the_tokens_asked_for(tmp_path: Path, style: str, room: int) -> None:
    """By the pieces of the input that the model was trained with."""
    folder = Path(shutil.copytree(tiny_export(), tmp_path / "tiny"))
    rewrite(folder, length_rule=manifest(folder)["length_rule"] | {"style": style})
    engine = load("tiny", folder)
    text = "Open, the FILE unopened: read every line, and close; sort the list"
    ((_, cut),) = _prepare(engine, [("open", text)], Lengths(document_tokens=room)).pairs
    whole, part = engine.encoder.words([text, cut])
    assert len(whole.ids) > room and part.ids == whole.ids[:room]


def test_a_speed_is_tokens_over_time_and_forgets() -> None:
    pace = Pace(1000.0)
    for _ in range(200):  # as much time slow as fast
        pace.add(100, 0.1)
        pace.add(1000, 0.1)
    assert pace.tokens / pace.seconds == pytest.approx(5500, rel=0.05)
    for _ in range(200):  # a mean of the two speeds would be 5,500
        pace.add(1000, 1.0)
        pace.add(1000, 0.1)
    assert pace.tokens / pace.seconds == pytest.approx(2000 / 1.1, rel=0.1)
