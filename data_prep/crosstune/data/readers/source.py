"""`KIND:WHERE?role=column&...`: how a recipe and the command line name an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from crosstune.errors import InputError


@dataclass(frozen=True)
class Source:
    """`kind`: a format, or `auto` to recognise it; `where`: a path, a hub name or catalogue ids."""

    kind: str
    where: str
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return Path(self.where).expanduser()


def parse_source(spec: str, kinds: Sequence[str]) -> Source:
    """A path that exists is itself; before a colon stands a kind, after a question mark the column map."""
    if Path(spec).expanduser().exists():
        return Source("auto", spec)
    kind, colon, where = spec.partition(":")
    if not colon or kind not in (*kinds, "auto"):
        return Source("auto", spec)
    if Path(where).expanduser().exists():
        return Source(kind, where)
    where, question, columns = where.partition("?")
    return Source(kind, where, parse_columns(columns.split("&")) if question else {})


def parse_columns(pairs: Sequence[str]) -> dict[str, str]:
    """`role=column` each. Raises `InputError` for another form, and for a role or column given twice."""
    columns: dict[str, str] = {}
    for pair in pairs:
        role, equals, column = pair.partition("=")
        if not equals or not role or not column:
            raise InputError(f"column {pair!r}: role=column was expected, for example query=question")
        if role in columns or column in columns.values():
            raise InputError(f"column {pair!r}: the role or the column is given twice")
        columns[role] = column
    return columns


def with_options(source: Source, kind: str | None, columns: Mapping[str, str]) -> Source:
    return replace(source, kind=kind or source.kind, columns={**source.columns, **columns})
