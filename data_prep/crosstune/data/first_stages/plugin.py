"""Any engine, by a class that an installed package names as an entry point."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from crosstune.errors import CrosstuneError, InputError
from crosstune.records import Collection

if TYPE_CHECKING:
    from crosstune.data.first_stages.protocol import Engine, Found
    from crosstune.data.first_stages.settings import PluginSettings

GROUP = "crosstune.first_stages"


class Plugin:
    """Calls the class as `Class(passages, options)` and then its `search(queries, depth)`."""

    def __init__(self, collection: Collection, settings: PluginSettings) -> None:
        """Raises `InputError` when there is no such entry point, when it cannot be imported, is no class
        with the method, or raises."""
        self._where = f"first_stage.name {settings.name}"
        self._point = _entry_point(settings.name)
        try:
            made = self._point.load()
        except Exception as error:
            raise InputError(f"{self._where}: {self._point.value} cannot be imported ({error!r})") from error
        if not callable(getattr(made, "search", None)):
            raise InputError(
                f"{self._where}: {self._point.value} has no method search(queries, depth); it returns for "
                "each query id a list of (document id, score)"
            )
        try:
            self._engine: Engine = made(collection.passages, settings.options)
        except CrosstuneError:
            raise
        except Exception as error:
            raise InputError(
                f"{self._where}: {self._point.value}(passages, options) raised {error!r}"
            ) from error

    def search(self, queries: Mapping[str, str], depth: int) -> Found:
        try:
            found = self._engine.search(queries, depth)
        except CrosstuneError:
            raise
        except Exception as error:
            raise InputError(f"{self._where}: search raised {error!r}") from error
        return _well_formed(found, self._where)

    def notes(self) -> dict[str, object]:
        return {"class": self._point.value, "version": version(self._point.name)}


def version(name: str) -> str:
    """Name and version of the package that brings the entry point."""
    distribution = _entry_point(name).dist
    return f"{distribution.name} {distribution.version}" if distribution else "unknown"


def _entry_point(name: str) -> EntryPoint:
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name not in known:
        listed = ", ".join(sorted(known)) or "none: no installed package names one"
        raise InputError(
            f"first_stage.name {name!r}: no such entry point in {GROUP}; there are: {listed}. See "
            "docs/first_stages.md for how a package names one"
        )
    return known[name]


def _well_formed(found: Any, where: str) -> Found:
    """The answer with its rows as lists, also where they can be walked through but once. Raises `InputError`
    unless it maps query ids to pairs of an id and a number."""
    expected = "a mapping of query id to a list of (document id, score) was expected"
    if not isinstance(found, Mapping):
        raise InputError(f"{where}: search returned a {type(found).__name__}; {expected}")
    answer = {}
    for query_id, rows in found.items():
        try:
            answer[query_id] = list(rows)
        except Exception as error:
            raise InputError(
                f"{where}: search returned {rows!r:.80} for query {query_id!r}, which raised {error!r}; "
                f"{expected}"
            ) from error
        for row in answer[query_id]:
            if not _is_pair(row):
                raise InputError(f"{where}: search returned {row!r:.80} for query {query_id!r}; {expected}")
    return answer


def _is_pair(row: Any) -> bool:
    if not isinstance(row, tuple | list) or len(row) != 2 or not isinstance(row[0], str):
        return False
    try:
        float(row[1])
    except (TypeError, ValueError):
        return False
    return True
