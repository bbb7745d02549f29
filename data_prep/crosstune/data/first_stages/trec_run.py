"""Any engine, by the TREC run that it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.errors import InputError
from crosstune.records import Collection, Run
from crosstune.trec import read_run

if TYPE_CHECKING:
    from crosstune.data.first_stages.protocol import Found
    from crosstune.data.first_stages.settings import TrecSettings


class TrecRun:
    """Answers the queries that the files list, by their id."""

    def __init__(self, collection: Collection, settings: TrecSettings) -> None:
        """Raises `InputError` with file and line for what is no TREC run, and when no query of the files
        is a judged query of the collection."""
        names = dict.fromkeys(settings.path.replace("{split}", split) for split in collection.qrels)
        self._run: Run = {}
        for name in names:
            self._run.update(read_run(Path(name).expanduser()))
        judged = {query_id for qrels in collection.qrels.values() for query_id in qrels}
        self._not_judged = len(self._run.keys() - judged)
        self._files = list(names)
        if not self._run.keys() & judged:
            raise InputError(
                f"{', '.join(names)}: holds no judged query of {collection.name} (the run has "
                f"{_some(self._run)}, the qrels have {_some(judged)}); the run is of another collection "
                "or split"
            )

    def search(self, queries: Mapping[str, str], depth: int) -> Found:  # noqa: ARG002
        return {query_id: list(self._run.get(query_id, {}).items()) for query_id in queries}

    def notes(self) -> dict[str, object]:
        return {"files": self._files, "queries_not_judged": self._not_judged}


def _some(ids: Run | set[str]) -> str:
    return ", ".join(repr(i) for i in sorted(ids)[:2]) or "none"
