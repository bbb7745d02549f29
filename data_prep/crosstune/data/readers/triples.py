"""Triples of texts between tabs, as MS MARCO's `triples.train.small.tsv`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.data.readers.msmarco import read_triples
from crosstune.data.readers.records import Record


@dataclass(frozen=True)
class TripleFiles:
    paths: Sequence[Path]
    notes: Sequence[str] = ()
    format: str = "triples"

    @property
    def files(self) -> list[str]:
        return [str(path) for path in self.paths]

    def records(self) -> Iterator[Record]:
        for path in self.paths:
            yield from read_triples(path, None)
