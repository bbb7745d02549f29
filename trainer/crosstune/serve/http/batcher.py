"""Batches across requests: the one that is due first goes first, and the engine has one batch at a time.

A request is due at its arrival plus `PATIENCE` times the time of its own work, at most `queue_seconds`. So
one of two documents overtakes the thousand of the one before it; and since nothing that arrives after that
moment overtakes the large one, and no more than `queue_seconds` of work is in the house then, it ends within
twice `queue_seconds` of its arrival, as long as the machine keeps its speed. (Fair shares alone give no such
bound: under overload there is always another small request.) A priority makes a request due earlier or
later by less than `queue_seconds`, so that nobody's keeps others out for ever.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from crosstune.serve.http.logs import log_error
from crosstune.serve.http.metrics import Metrics
from crosstune.serve.http.model import Engine
from crosstune.serve.http.options import Options
from crosstune.serve.http.refusal import Refusal
from crosstune.serve.ranked import Score

PATIENCE = 2.0
SMALL_BATCH = 1024
"""Tokens below which a batch says little about the speed of a full one."""
PACE_SECONDS = 5.0
"""Of work after which a measured speed counts for a third (1 / e)."""
STUCK_SECONDS = 60.0

Pair = tuple[str, str]


@dataclass(eq=False)
class Ticket:
    """A place in the queue. `seconds`: the engine's time that is still owed to it, estimated; `admitted`:
    when it was given."""

    seconds: float
    admitted: float = field(default_factory=time.perf_counter)


@dataclass
class Pace:
    """Tokens over seconds, both fading: what a second of work gave lately, whatever the batches' sizes."""

    tokens: float
    seconds: float = 1.0

    def add(self, tokens: int, seconds: float) -> None:
        kept = math.exp(-seconds / PACE_SECONDS)
        self.tokens = self.tokens * kept + tokens
        self.seconds = self.seconds * kept + seconds


@dataclass(eq=False)
class Job:
    """The pairs of one request, longest first so that a batch of them holds little padding."""

    ticket: Ticket
    engine: Engine
    pairs: Sequence[Pair]
    lengths: Sequence[int]
    order: list[int]
    future: asyncio.Future[list[Score]]
    scores: dict[int, Score] = field(default_factory=dict)
    taken: int = 0
    due: float = 0.0
    submitted: float = field(default_factory=time.perf_counter)
    began: float | None = None

    def take(self, tokens: int) -> list[int]:
        """The next pairs, about `tokens` of them and at least one."""
        first = self.taken
        while self.taken < len(self.order) and tokens > 0:
            tokens -= self.lengths[self.order[self.taken]]
            self.taken += 1
        return self.order[first : self.taken]

    @property
    def waiting(self) -> bool:
        return self.taken < len(self.order) and not self.future.done()


@dataclass(frozen=True)
class Scored:
    """`queue_seconds`: from submission to the first batch; `score_seconds`: from there to the last."""

    scores: list[Score]
    queue_seconds: float
    score_seconds: float


class Batcher:
    """All of it runs in the event loop, but for the scoring itself, which has one thread of its own."""

    def __init__(self, options: Options, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._queue: list[tuple[float, int, Job]] = []
        self._tickets: set[Ticket] = set()
        self._numbers = itertools.count()
        self._paces: dict[str, Pace] = {}
        self._work = asyncio.Event()
        self._batch_began: float | None = None
        self._busy_since = 0.0
        self._ended = False

    @property
    def queued_seconds(self) -> float:
        """The engine's time that all requests in the house still need, by the speed measured last."""
        return sum(ticket.seconds for ticket in self._tickets)

    @property
    def stuck(self) -> bool:
        """A batch has taken a minute, or nobody works any more."""
        began = self._batch_began
        return self._ended or (began is not None and time.perf_counter() - began > STUCK_SECONDS)

    def rate(self, engine: Engine) -> float:
        """Tokens a second, with all that lies between two batches."""
        pace = self._paces.get(engine.name)
        return engine.rate if pace is None else pace.tokens / pace.seconds

    def forget(self, name: str) -> None:
        """The speed of a model whose folder was replaced."""
        self._paces.pop(name, None)

    def check(self, seconds: float = 0.0) -> None:
        """Raises `Refusal` when that much more work would let the queue grow beyond its limit. An empty
        queue takes anything: what one request may be is limited elsewhere."""
        queued = self.queued_seconds
        if queued > 0 and queued + seconds > self._options.queue_seconds:
            raise Refusal(
                "overloaded",
                f"the service has {queued:.1f} s of work waiting, its limit is "
                f"{self._options.queue_seconds:g} s; try again later",
                retry_after=max(1, math.ceil(queued / 2)),
            )

    def _check_alone(self, seconds: float, documents: int) -> None:
        """Raises `Refusal` for work that could not end in time with nothing beside it: it would keep others
        out and fail all the same, as often as its client tries."""
        most = self._options.timeout_seconds
        if seconds > most:
            raise Refusal(
                "too_many",
                f"{documents} documents of this length are about {seconds:.1f} s of work here, and an answer "
                f"has {most:g} s; send about {max(1, int(documents * most / seconds / 2))} a request",
            )

    @contextmanager
    def admit(self, engine: Engine, tokens: int) -> Iterator[Ticket]:
        """A place in the queue for a request of about that many tokens, held while the block runs."""
        seconds = tokens / self.rate(engine)
        self.check(seconds)
        ticket = Ticket(seconds)
        self._tickets.add(ticket)
        self._metrics.queued_seconds.set(self.queued_seconds)
        try:
            yield ticket
        finally:
            self._tickets.discard(ticket)
            self._metrics.queued_seconds.set(self.queued_seconds)

    async def score(
        self, ticket: Ticket, engine: Engine, pairs: Sequence[Pair], lengths: Sequence[int], priority: int = 0
    ) -> Scored:
        """Scores in the order of `pairs`; a lower `priority` is due earlier, by less than `queue_seconds`.
        Cancelling it frees its place. Raises `Refusal`."""
        order = sorted(range(len(pairs)), key=lambda index: -lengths[index])
        future: asyncio.Future[list[Score]] = asyncio.get_running_loop().create_future()
        job = Job(ticket, engine, pairs, lengths, order, future)
        ticket.seconds = sum(lengths) / self.rate(engine)
        self._check_alone(ticket.seconds, len(pairs))
        own = min(PATIENCE * ticket.seconds, self._options.queue_seconds)
        job.due = ticket.admitted + own + self._options.queue_seconds * priority / (1 + abs(priority))
        heapq.heappush(self._queue, (job.due, next(self._numbers), job))
        self._work.set()
        scores = await future
        began = job.began if job.began is not None else job.submitted
        return Scored(scores, began - job.submitted, time.perf_counter() - began)

    async def run(self) -> None:
        """Works until it is cancelled."""
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                await asyncio.sleep(self._options.gather_seconds)
                self._busy_since = time.perf_counter()
                while batch := self._next_batch():
                    await self._score(batch)
        finally:
            self._ended = True

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _next_batch(self) -> list[tuple[Job, list[int]]]:
        """Pairs of one engine, up to the budget; what waits for another engine keeps its turn."""
        room = self._options.batch_tokens
        batch: dict[Job, list[int]] = {}
        aside: list[tuple[float, int, Job]] = []
        engine: Engine | None = None
        while self._queue and room > 0:
            due, number, job = heapq.heappop(self._queue)
            if not job.waiting:
                continue
            if engine is not None and job.engine is not engine:
                aside.append((due, number, job))
                continue
            engine = job.engine
            batch[job] = job.take(room)
            room -= sum(job.lengths[index] for index in batch[job])
            if job.waiting:
                aside.append((due, number, job))
        for entry in aside:
            heapq.heappush(self._queue, entry)
        return list(batch.items())

    async def _score(self, batch: list[tuple[Job, list[int]]]) -> None:
        engine = batch[0][0].engine
        pairs = [job.pairs[index] for job, indices in batch for index in indices]
        tokens = sum(job.lengths[index] for job, indices in batch for index in indices)
        self._batch_began = started = time.perf_counter()
        for job, _ in batch:
            job.began = job.began if job.began is not None else started
        try:
            scores = await asyncio.get_running_loop().run_in_executor(
                self._thread, engine.reranker.score, pairs
            )
        except Exception as error:
            self._busy_since = time.perf_counter()
            await self._failed(batch, error)
            return
        finally:
            self._batch_began = None
        self._measure(engine, tokens, len(batch), time.perf_counter() - started)
        self._hand_out(batch, iter(scores))

    async def _failed(self, batch: list[tuple[Job, list[int]]], error: Exception) -> None:
        """One request's fault is not that of the others in its batch: each is tried alone."""
        if len(batch) > 1:
            for part in batch:
                await self._score([part])
            return
        log_error("the engine failed", error)
        future = batch[0][0].future
        if not future.done():
            future.set_exception(Refusal("backend", "the engine failed on this request"))

    def _measure(self, engine: Engine, tokens: int, requests: int, seconds: float) -> None:
        now = time.perf_counter()
        if tokens >= SMALL_BATCH:
            pace = self._paces.setdefault(engine.name, Pace(engine.rate))
            pace.add(tokens, max(now - self._busy_since, 1e-6))
        self._busy_since = now
        self._metrics.batch(engine.name, tokens, requests, seconds)

    def _hand_out(self, batch: list[tuple[Job, list[int]]], scores: Iterator[Score]) -> None:
        for job, indices in batch:
            for index in indices:
                job.scores[index] = next(scores)
            left = sum(job.lengths[index] for index in job.order[job.taken :])
            job.ticket.seconds = left / self.rate(job.engine)
            if len(job.scores) == len(job.pairs) and not job.future.done():
                job.future.set_result([job.scores[index] for index in range(len(job.pairs))])
        self._metrics.queued_seconds.set(self.queued_seconds)
