"""Retrieval and mining on a Ray cluster: each worker reads the collection and takes slices of the queries."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from crosstune.cache import cache_folder
from crosstune.cluster import in_order, workers_of
from crosstune.data import FirstStageSettings, Found, beir_digest, input_digests, read_collection
from crosstune.data.first_stages.kinds import open_first_stage
from crosstune.data.first_stages.retrieve import OpenSearches
from crosstune.data.first_stages.searches import LocalSearches, Queries, Searches
from crosstune.data.mining.mine import Positives, Spread
from crosstune.data.mining.miner import Mined, Miner
from crosstune.errors import InputError
from crosstune.files import sha256_file
from crosstune.fingerprints import code_version
from crosstune.mining_stage import candidate_paths, read_candidates, scorers
from crosstune.progress import say
from crosstune.recipe import Recipe
from crosstune.records import Collection
from crosstune.run import RunFolder
from crosstune.stage_inputs import mining_inputs, model_digest

QUERIES_AT_ONCE = 20
"""Of a slice of mining: their groups and ledger rows are what a worker holds at once."""


@dataclass(frozen=True)
class Origin:
    """Where the call is made, and what every machine has to have as well."""

    machine: str
    folder: Path
    collection: Path
    digest: str
    code: str

    @classmethod
    def here(cls, collection: Path) -> Origin:
        path = collection.resolve()
        return cls(socket.gethostname(), Path.cwd(), path, beir_digest(path), code_version(("data",)))

    def read(self) -> Collection:
        """The collection on the machine of a worker, whose relative paths become those of the call."""
        if code_version(("data",)) != self.code:
            raise InputError("another version of crosstune is installed; install the same on every machine")
        if not self.collection.is_dir() or beir_digest(self.collection) != self.digest:
            raise InputError(_differs(self.collection))
        if self.folder.is_dir():
            os.chdir(self.folder)
        return read_collection(self.collection)

    def cache(self, run: Path) -> Path:
        """Of a teacher's scores: the run folder's on the machine of the call. SQLite's log needs memory that
        its users share, so that another machine keeps scores of its own, even where disks are shared."""
        machine = socket.gethostname()
        return run if machine == self.machine else cache_folder("teacher") / machine


def _differs(path: Path) -> str:
    return (
        f"{path}: is not there or another one; put it at this path on every machine, or on a disk that they "
        "share"
    )


@contextmanager
def _machine_named() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"on the machine {socket.gethostname()}: {error}") from None


class SearchWorker:
    def __init__(self, origin: Origin, settings: FirstStageSettings, digests: list[str]) -> None:
        with _machine_named():
            collection = origin.read()
            if input_digests(settings) != digests:
                raise InputError(
                    f"what first_stage names (kind {settings.kind}) is another one there; have the same "
                    "encoder and packages on every machine"
                )
            self._stage = open_first_stage(collection, settings)

    def search(self, queries: Queries, depth: int) -> tuple[Found, float, dict[str, Any], dict[str, Any]]:
        """What is found, the seconds, and the first stage's notes before and after."""
        before = self._stage.notes()
        started = time.perf_counter()
        found = self._stage.search(queries, depth)
        return found, time.perf_counter() - started, before, self._stage.notes()


class RaySearches:
    """The first stage of each worker finds what one here would."""

    def __init__(self, workers: list[Any]) -> None:
        self._workers = workers
        self._notes: Any = None

    def found(self, parts: Iterator[Queries], depth: int) -> Iterator[tuple[Queries, Found, float]]:
        def begin(worker: Any, queries: Queries) -> Any:
            return worker.search.remote(queries, depth)

        for queries, (found, seconds, before, after) in in_order(self._workers, parts, begin):
            self._notes = added(before if self._notes is None else self._notes, before, after)
            yield queries, found, seconds

    def notes(self) -> dict[str, object]:
        return self._notes or {}


def added(total: Any, before: Any, after: Any) -> Any:
    """`total` with what came to the counts of a worker between `before` and `after`, all JSON values of one
    shape; what is no count is as it was `after`."""
    if isinstance(after, dict):
        return {key: added(total[key], before[key], value) for key, value in after.items()}
    if isinstance(after, list) and len(total) == len(before) == len(after):
        return [added(*values) for values in zip(total, before, after, strict=True)]
    if isinstance(after, int) and not isinstance(after, bool):
        return total + after - before
    return after


@contextmanager
def ray_searches(folder: Path, workers: int | None) -> Iterator[OpenSearches]:
    """For `retrieve`. `folder`: the collection's. A first stage that gains nothing or would find something
    else elsewhere is asked here, which is said."""
    with ExitStack() as cluster:

        def open_searches(collection: Collection, settings: FirstStageSettings) -> Searches:
            if reason := _why_here(collection, settings):
                say(f"  {settings.kind}: searched by this process and not by Ray, since {reason}")
                return LocalSearches(collection, settings)
            cluster.close()  # the workers of the first stage before it hold processors
            arguments = (Origin.here(folder), settings, input_digests(settings))
            return RaySearches(cluster.enter_context(workers_of(SearchWorker, arguments, workers)))

        yield open_searches


def _why_here(collection: Collection, settings: FirstStageSettings) -> str | None:
    for single in getattr(settings, "of", [settings]):
        if single.kind == "trec":
            return "a TREC run is read and not searched"
        if single.kind == "dense" and len(collection.passages) > single.exact_up_to:
            return "each machine would build an HNSW graph of its own, and no two are alike"
    return None


@dataclass(frozen=True)
class Task:
    """What a worker mines with; each digest is that of the call's machine. `threads`: of torch, since sums
    depend on them; None without a model."""

    recipe: Recipe
    runs: Mapping[str, Path]
    model: Path | None
    cache: Path
    threads: int | None = None

    @cached_property
    def inputs(self) -> list[object]:
        runs = [sha256_file(path) if path.is_file() else None for path in self.runs.values()]
        model = [] if self.model is None else [model_digest(str(self.model))]
        return [*runs, *mining_inputs(self.recipe), *model]


class MineWorker:
    def __init__(self, origin: Origin, task: Task, inputs: list[object]) -> None:
        with _machine_named():
            collection = origin.read()
            if task.inputs != inputs:
                names = ", ".join(map(str, [*task.runs.values(), *([task.model] if task.model else [])]))
                raise InputError(
                    f"{names}, mine.teacher or mine.review: one is not there or another one; put them at the "
                    "same paths on every machine, or on a disk that they share"
                )
            if task.threads is not None:
                import torch

                torch.set_num_threads(task.threads)
            self._open = ExitStack()
            models = scorers(self._open, task.recipe, task.model, origin.cache(task.cache))
            runs = {source: read_candidates(path) for source, path in task.runs.items()}
            self._miner = Miner(collection, runs, task.recipe.mine, task.recipe.seed, models)

    def mine(self, positives: Positives) -> Mined:
        return self._miner.mined(positives)


@contextmanager
def ray_mining(recipe: Recipe, folder: RunFolder, model: Path | None) -> Iterator[Spread]:
    """For `mine_spread`. `model`: what round 1 trained, in round 2."""
    task = Task(
        recipe,
        {source: path.resolve() for source, path in candidate_paths(recipe, folder).items()},
        model.resolve() if model is not None else None,
        folder.cache.resolve(),
        _torch_threads() if model is not None or recipe.mine.teacher is not None else None,
    )
    arguments = (Origin.here(folder.collection_folder()), task, task.inputs)
    with workers_of(MineWorker, arguments, recipe.workers) as workers:

        def spread(queries: Iterator[Positives]) -> Iterator[Mined]:
            for _, mined in in_order(workers, _slices(queries), lambda w, part: w.mine.remote(part)):
                yield mined

        yield spread


def _slices(queries: Iterator[Positives]) -> Iterator[Positives]:
    while part := [pair for positives in islice(queries, QUERIES_AT_ONCE) for pair in positives]:
        yield part


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()
