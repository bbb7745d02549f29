"""Slices scored by Ray: a worker a machine, each with the model and all of the machine's cores."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crosstune.cluster import in_order, workers_of
from crosstune.errors import InputError
from crosstune.files import sha256_file
from crosstune.machine import cores
from crosstune.serve.bulk.pairs import Pair
from crosstune.serve.engines import Format, choose
from crosstune.serve.manifest import read_manifest
from crosstune.serve.ranked import Score
from crosstune.serve.reranker import Reranker
from crosstune.serve.seal import MANIFEST


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
    """Slices in the order given, by the workers of a cluster."""

    def __init__(self, workers: list[Any], backend: Format) -> None:
        self._workers = workers
        self.backend = backend

    def scored(self, parts: Iterator[list[Pair]]) -> Iterator[tuple[list[Pair], list[Score]]]:
        yield from in_order(self._workers, parts, _begin)


def _begin(worker: Any, part: list[Pair]) -> Any:
    return worker.score.remote([(pair.query, pair.document) for pair in part])


@contextmanager
def ray_scoring(export: Path, backend: str, workers: int | None) -> Iterator[RayScoring]:
    """Joins a cluster (`workers_of`) and leaves it at the end.

    `workers`: processes, spread over the machines; one a machine without. Raises `InputError` for an export
    that cannot be read here or, at the first slice, there.
    """
    format_ = choose(read_manifest(export), backend, export, cores())
    arguments = (str(export.resolve()), format_, sha256_file(export / MANIFEST))
    with workers_of(Worker, arguments, workers) as actors:
        yield RayScoring(actors, format_)
