"""Triples of texts between tabs, as MS MARCO's `triples.train.small.tsv`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.data.readers.msmarco import header_notes, read_triples
from crosstune.data.readers.records import Record, named_splits


@dataclass(frozen=True)
class TripleFiles:
    """Of several files that are named after splits, each is the split of its name."""

    paths: Sequence[Path]
    passed_over: Sequence[str] = ()
    format: str = "triples"

    @property
    def files(self) -> list[str]:
        return [str(path) for path in self.paths]

    @property
    def notes(self) -> list[str]:
        return [*self.passed_over, *header_notes(self.paths)]

    def records(self) -> Iterator[Record]:
        for path, split in named_splits(self.paths).items():
            yield from read_triples(path, split)
