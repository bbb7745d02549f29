"""Slices scored by Ray: a worker a machine, each with the model and all of the machine's cores."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from crosstune.errors import CheckFailed, InputError
from crosstune.files import sha256_file
from crosstune.machine import cores
from crosstune.progress import say
from crosstune.serve.bulk.pairs import Pair
from crosstune.serve.engines import Format, choose
from crosstune.serve.manifest import MANIFEST, read_manifest
from crosstune.serve.ranked import Score
from crosstune.serve.reranker import Reranker

AHEAD = 2
"""Slices that each worker has, so that it does not wait for the next one."""
REACH_SECONDS = 10.0
RETRIES = 4
"""Of a slice whose worker or machine is gone."""


class Worker:
    """`export` must lie at the same path on every machine, and be the same: its manifest's sha256 is
    `manifest`."""

    def __init__(self, export: str, backend: Format, manifest: str) -> None:
        path = Path(export) / MANIFEST
        if not path.is_file() or sha256_file(path) != manifest:
            raise InputError(
                f"{path}: is not there or another export on the machine {socket.gethostname()}; put the "
                "folder at this path on every machine, or on a disk that they share"
            )
        self._reranker = Reranker(export, backend)

    def score(self, pairs: list[tuple[str, str]]) -> list[Score]:
        return self._reranker.score(pairs)


class RayScoring:
    """Slices in the order given, `AHEAD` a worker on their way. What a worker that died had is done again by
    the one that takes its place."""

    def __init__(self, workers: list[Any], backend: Format) -> None:
        self._workers = workers
        self.backend = backend

    def scored(self, parts: Iterator[list[Pair]]) -> Iterator[tuple[list[Pair], list[Score]]]:
        waiting: deque[tuple[list[Pair], Any, int]] = deque()
        for part in parts:
            if len(waiting) == AHEAD * len(self._workers):
                yield _taken(*waiting.popleft()[:2])
            worker = self._idlest(waiting)
            pairs = [(pair.query, pair.document) for pair in part]
            waiting.append((part, self._workers[worker].score.remote(pairs), worker))
        while waiting:
            yield _taken(*waiting.popleft()[:2])

    def _idlest(self, waiting: deque[tuple[list[Pair], Any, int]]) -> int:
        """The worker with the fewest slices that are not done, so that a slow machine gets fewer."""
        if not waiting:
            return 0
        references = [reference for _, reference, _ in waiting]
        _, undone = ray.wait(references, num_returns=len(references), timeout=0)
        busy = [worker for _, reference, worker in waiting if reference in undone]
        return min(range(len(self._workers)), key=busy.count)


def _taken(part: list[Pair], reference: Any) -> tuple[list[Pair], list[Score]]:
    try:
        scores: list[Score] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayActorError as error:
        raise _gone(error) from None
    return part, scores


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
        raise InputError(f"Ray cannot be reached at {address} ({error}); look at RAY_ADDRESS") from None


@contextmanager
def ray_scoring(export: Path, backend: str, workers: int | None) -> Iterator[RayScoring]:
    """Joins the cluster of `RAY_ADDRESS`, or the one on this machine, or makes one, and leaves it at the end.

    `workers`: processes, spread over the machines; one a machine without. Raises `InputError` for an export
    that cannot be read here or, at the first slice, there.
    """
    format_ = choose(read_manifest(export), backend, export, cores())
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent that was not asked for
    _check_address(os.environ.get("RAY_ADDRESS", ""))
    joined = not ray.is_initialized()
    try:
        ray.init(
            ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR", include_dashboard=False
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        address = os.environ.get("RAY_ADDRESS", "a cluster of its own")
        raise InputError(f"Ray cannot be reached at {address} ({error}); look at RAY_ADDRESS") from None
    try:
        machines = sum(node["Alive"] for node in ray.nodes())
        count = workers or machines
        say(f"Ray: {count} worker{'s' * (count > 1)} on {machines} machine{'s' * (machines > 1)}")
        remote = ray.remote(
            num_cpus=1, max_restarts=RETRIES, max_task_retries=RETRIES, scheduling_strategy="SPREAD"
        )(Worker)
        digest = sha256_file(export / MANIFEST)
        actors = [remote.remote(str(export.resolve()), format_, digest) for _ in range(count)]
        yield RayScoring(actors, format_)
    finally:
        if joined:
            ray.shutdown()
