"""Scoring in the order given until the time is over: how deep a budget reaches."""

from __future__ import annotations

import heapq
import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Protocol, TypeVar

from crosstune.errors import InputError
from crosstune.serve.pairs import token_budget_batches

READ_CHARACTERS = 8_000
"""Tokenised at once for each core: some milliseconds of work."""


class Rows(Protocol):
    """What is scored as one: the lengths of its rows in a batch."""

    @property
    def lengths(self) -> Sequence[int]: ...


Item = TypeVar("Item", bound=Rows)
Value = TypeVar("Value")


def deadline_after(budget_ms: float | None) -> float | None:
    """The time, on `time.perf_counter`, at which a budget is over. Raises `InputError` unless it is
    above 0."""
    if budget_ms is None:
        return None
    is_number = isinstance(budget_ms, Real) and not isinstance(budget_ms, bool)  # numpy's are such, too
    if not is_number or not budget_ms > 0:
        raise InputError(f"budget_ms is {budget_ms!r:.40}; a number of milliseconds above 0 was expected")
    try:
        milliseconds = float(budget_ms)
    except OverflowError:  # an int that fp64 cannot hold
        milliseconds = math.inf
    return time.perf_counter() + milliseconds / 1000


def score_until(
    deadline: float,
    texts: Sequence[str],
    encode: Callable[[Sequence[str]], list[Item]],
    score: Callable[[Sequence[Item]], Sequence[Value]],
    threads: int,
    batch_tokens: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[Item], list[Value]]:
    """Encodes and scores the texts from the first on; returns what was scored and its values.

    The first text is scored alone, and its time tells the pace. After that as many texts at a time are
    scored as fill the cores (`batch_tokens` each), or fewer, so that by the slower of the last pace and the
    mean pace they end before the deadline; none when not even one would. Nothing begins after the deadline.
    """
    done: list[Item] = []
    values: list[Value] = []
    ready: list[Item] = []
    position, work, spent, pace = 0, 0, 0.0, 0.0
    while len(done) < len(texts):
        while position < len(texts) and sum(_lengths(ready)) < batch_tokens * threads and clock() < deadline:
            stop = _readable(texts, position, READ_CHARACTERS * threads)
            ready += encode(texts[position:stop])
            position = stop
        left = deadline - clock()
        count = _affordable(ready, left / pace if pace else 0.0, threads, batch_tokens) if done else 1
        if left <= 0 or count == 0:
            break
        part, ready = ready[:count], ready[count:]
        began = clock()
        values += score(part)
        took, slots = clock() - began, makespan(_lengths(part), threads, batch_tokens)
        done += part
        work, spent = work + slots, spent + took
        pace = max(took / slots, spent / work)
    return done, values


def _readable(texts: Sequence[str], start: int, characters: int) -> int:
    """The end of the texts from `start` on that have so many characters together; at least one."""
    stop = start
    while stop < len(texts) and (characters := characters - len(texts[stop])) > 0:
        stop += 1
    return max(stop, start + 1)


def _lengths(items: Iterable[Rows]) -> list[int]:
    return [length for item in items for length in item.lengths]


def _affordable(ready: Sequence[Rows], slots: float, threads: int, batch_tokens: int) -> int:
    """How many of the items, from the first on, take at most `slots` of time and fill the cores once."""
    total, most = 0, 0
    for item in ready:
        total += sum(item.lengths)
        if most and total > batch_tokens * threads:
            break
        most += 1
    return bisect_right(
        range(1, most + 1), slots, key=lambda count: makespan(_lengths(ready[:count]), threads, batch_tokens)
    )


def makespan(lengths: Sequence[int], threads: int, batch_tokens: int) -> int:
    """Slots (ids with padding) of the core that works longest, when idle cores take the next batch."""
    cores = [0] * threads
    for batch in token_budget_batches(lengths, batch_tokens):
        heapq.heapreplace(cores, cores[0] + len(batch) * max(lengths[index] for index in batch))
    return max(cores)
