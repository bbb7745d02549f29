"""Any engine, by the TREC run that it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.errors import InputError
from crosstune.files import is_packed
from crosstune.records import Collection
from crosstune.stored_run import StoredRun
from crosstune.trec import read_run

if TYPE_CHECKING:
    from crosstune.data.first_stages.protocol import Found
    from crosstune.data.first_stages.settings import TrecSettings


class TrecRun:
    """Answers the queries that the files list, by their id. A compressed file is held in memory."""

    def __init__(self, collection: Collection, settings: TrecSettings) -> None:
        """Raises `InputError` with file and line for what is no TREC run, and when no query of the files
        is a judged query of the collection."""
        names = dict.fromkeys(settings.path.replace("{split}", split) for split in collection.qrels)
        self._runs = [_open(Path(name).expanduser()) for name in names]
        judged = {query_id for qrels in collection.qrels.values() for query_id in qrels}
        listed = {query_id for run in self._runs for query_id in run}
        self._not_judged = len(listed - judged)
        self._files = list(names)
        if not listed & judged:
            raise InputError(
                f"{', '.join(names)}: holds no judged query of {collection.name} (the run has "
                f"{_some(listed)}, the qrels have {_some(judged)}); the run is of another collection "
                "or split"
            )

    def search(self, queries: Mapping[str, str], depth: int) -> Found:  # noqa: ARG002
        return {
            query_id: list(run[query_id].items())
            for run in self._runs
            for query_id in queries
            if query_id in run
        }

    def notes(self) -> dict[str, object]:
        return {"files": self._files, "queries_not_judged": self._not_judged}


def _open(path: Path) -> Mapping[str, Mapping[str, float]]:
    return read_run(path) if is_packed(path) else StoredRun(path)


def _some(ids: set[str]) -> str:
    return ", ".join(repr(i) for i in sorted(ids)[:2]) or "none"
