"""Work in slices on a Ray cluster: joining it, its workers, and what they do in the order given."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import ray

from crosstune.errors import CheckFailed, InputError
from crosstune.progress import say

Part = TypeVar("Part")
AHEAD = 2
"""Slices that each worker has, so that it does not wait for the next one."""
REACH_SECONDS = 10.0
RETRIES = 4
"""Of a slice whose worker or machine is gone."""


@contextmanager
def workers_of(kind: type, arguments: Sequence[object], workers: int | None) -> Iterator[list[Any]]:
    """Joins the cluster of `RAY_ADDRESS`, or the one on this machine, or makes one, and leaves it at the end.

    Yields `workers` actors `kind(*arguments)`, spread over the machines; one a machine with a processor
    without. Raises `InputError` when the cluster cannot be reached and when it has fewer processors.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent that was not asked for
    address = os.environ.get("RAY_ADDRESS", "")
    _check_address(address)
    joined = not ray.is_initialized()
    try:
        ray.init(
            ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR", include_dashboard=False
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _unreachable(address or "a cluster of its own", error) from None
    try:
        machines = sum(node["Alive"] and node["Resources"].get("CPU", 0) >= 1 for node in ray.nodes())
        count = workers or max(machines, 1)
        _check_processors(count)
        say(f"Ray: {count} worker{'s' * (count > 1)} on {machines} machine{'s' * (machines > 1)}")
        remote = ray.remote(
            num_cpus=1, max_restarts=RETRIES, max_task_retries=RETRIES, scheduling_strategy="SPREAD"
        )(kind)
        yield [remote.remote(*arguments) for _ in range(count)]
    finally:
        if joined:
            ray.shutdown()


def in_order(
    workers: Sequence[Any], parts: Iterator[Part], begin: Callable[[Any, Part], Any]
) -> Iterator[tuple[Part, Any]]:
    """Each part with what a worker made of it, in the order given, `AHEAD` a worker on their way. What a
    worker that died had is done again by the one that takes its place.

    `begin` gives a part to a worker and returns Ray's reference. Raises what the worker raised, and
    `CheckFailed` for one that dies again and again.
    """
    waiting: deque[tuple[Part, Any, int]] = deque()
    for part in parts:
        if len(waiting) == AHEAD * len(workers):
            yield _taken(*waiting.popleft()[:2])
        worker = _idlest(len(workers), waiting)
        waiting.append((part, begin(workers[worker], part), worker))
    while waiting:
        yield _taken(*waiting.popleft()[:2])


def _idlest(count: int, waiting: deque[tuple[Part, Any, int]]) -> int:
    """The worker with the fewest slices that are not done, so that a slow machine gets fewer."""
    if not waiting:
        return 0
    references = [reference for _, reference, _ in waiting]
    _, undone = ray.wait(references, num_returns=len(references), timeout=0)
    busy = [worker for _, reference, worker in waiting if reference in undone]
    return min(range(count), key=busy.count)


def _taken(part: Part, reference: Any) -> tuple[Part, Any]:
    try:
        return part, ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayActorError as error:
        raise _gone(error) from None


def _gone(error: ray.exceptions.RayActorError) -> Exception:
    """A worker that could not begin, or that went more often than it is tried again."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, InputError):
        return cause
    reason = " ".join(str(error).split())
    if "InputError: " in reason:
        return InputError(reason.rpartition("InputError: ")[2])
    return CheckFailed(f"a worker of Ray is gone ({reason[:300]}); the same command goes on from here")


def _check_address(address: str) -> None:
    """Ray itself tries for minutes to reach an address at which nobody listens."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():  # a name of Ray's own, or none
        return
    try:
        socket.create_connection((host.rpartition("/")[2], int(port)), timeout=REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from None


def _check_processors(workers: int) -> None:
    """Ray lets a worker without a processor wait for ever, and its slices with it."""
    processors = int(ray.cluster_resources().get("CPU", 0))
    if workers > processors:
        raise InputError(
            f"Ray: {workers} worker{'s' * (workers > 1)} wanted, each with a processor, and the cluster has "
            f"{processors}; give workers (--workers) of at most that, or add machines"
        )


def _unreachable(address: str, error: Exception) -> InputError:
    return InputError(f"Ray cannot be reached at {address} ({error}); look at RAY_ADDRESS")
