"""What every first stage is, ours and those of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from crosstune.errors import MissingExtra

Found = Mapping[str, Sequence[tuple[str, float]]]
"""query id -> (document id, score), higher is better, in any order; a query may be missing."""


class Engine(Protocol):
    """All that a search engine has to have. A plug-in's class is called as `Class(passages, options)`."""

    def search(self, queries: Mapping[str, str], depth: int) -> Found:
        """At most `depth` passages for each of `queries` (id -> text)."""
        ...


class FirstStage(Engine, Protocol):
    """An engine that also tells what `retrieve.json` should hold about it."""

    def notes(self) -> dict[str, object]:
        """Called after the last search; JSON values alone."""
        ...


@contextmanager
def needs_extra(what: str, extra: str) -> Iterator[None]:
    """Turns a failing import into the pip command that mends it."""
    try:
        yield
    except ModuleNotFoundError:
        raise MissingExtra(what, extra) from None
