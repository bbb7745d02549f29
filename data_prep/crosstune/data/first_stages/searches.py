"""Where a first stage searches part after part of the queries: here, or wherever else there is one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from crosstune.data.first_stages.kinds import open_first_stage
from crosstune.records import Collection

if TYPE_CHECKING:
    from crosstune.data.first_stages.protocol import Found
    from crosstune.data.first_stages.settings import FirstStageSettings

Queries = Mapping[str, str]
"""query id -> text"""


class Searches(Protocol):
    def found(self, parts: Iterator[Queries], depth: int) -> Iterator[tuple[Queries, Found, float]]:
        """Each part with at most `depth` passages a query and the seconds of its search, in the order of the
        parts."""
        ...

    def notes(self) -> dict[str, object]:
        """As `FirstStage.notes`."""
        ...


class LocalSearches:
    """One part after the other, by a first stage in this process."""

    def __init__(self, collection: Collection, settings: FirstStageSettings) -> None:
        self._stage = open_first_stage(collection, settings)

    def found(self, parts: Iterator[Queries], depth: int) -> Iterator[tuple[Queries, Found, float]]:
        for queries in parts:
            started = time.perf_counter()
            found = self._stage.search(queries, depth)
            yield queries, found, time.perf_counter() - started

    def notes(self) -> dict[str, object]:
        return self._stage.notes()
