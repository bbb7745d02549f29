"""Where the slices of a file are scored: in this process, or by Ray on many machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, Protocol

from crosstune.errors import InputError, MissingExtra
from crosstune.serve.bulk.pairs import Pair
from crosstune.serve.engines import Format
from crosstune.serve.ranked import Score
from crosstune.serve.reranker import Reranker

Engine = Literal["local", "ray"]
Scored = tuple[list[Pair], list[Score]]


class Scoring(Protocol):
    """Both give the same scores for the same slices."""

    backend: Format

    def scored(self, parts: Iterator[list[Pair]]) -> Iterator[Scored]:
        """Each slice with its scores, in the order of the slices; reads a bounded number of them ahead."""
        ...


class LocalScoring:
    """One slice after the other, on all cores of this machine."""

    def __init__(self, export: Path, backend: str) -> None:
        self._reranker = Reranker(export, backend)
        self.backend = self._reranker.backend

    def scored(self, parts: Iterator[list[Pair]]) -> Iterator[Scored]:
        for part in parts:
            yield part, self._reranker.score([(pair.query, pair.document) for pair in part])


def open_engine(
    engine: str, export: Path, backend: str, workers: int | None
) -> AbstractContextManager[Scoring]:
    """Raises `InputError` for an engine that there is not, for workers without Ray and as `Reranker`, and
    `MissingExtra` without Ray."""
    if engine == "ray":
        try:
            from crosstune.serve.bulk.on_ray import ray_scoring
        except ModuleNotFoundError as error:
            raise MissingExtra(f"--engine ray (module {error.name})", "ray") from None
        return ray_scoring(export, backend, workers)
    if engine != "local":
        raise InputError(f"--engine {engine}: no such engine; local or ray was expected")
    if workers is not None:
        raise InputError("--workers belongs to --engine ray; the local engine has every core of this machine")
    return nullcontext(LocalScoring(export, backend))
