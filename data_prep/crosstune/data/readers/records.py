"""What readers yield: small records, one at a time, each with the place that it comes from."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from crosstune.errors import InputError
from crosstune.label_sources import LabelSource
from crosstune.records import Split


@dataclass(frozen=True, slots=True)
class Passage:
    """`more`: fields of a BEIR line besides id, title and text; they are written as they came."""

    doc_id: str
    text: str
    at: str
    title: str = ""
    more: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Query:
    query_id: str
    text: str
    at: str
    more: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """`split` is None where the input has none."""

    query_id: str
    doc_id: str
    grade: int
    at: str
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document that a first stage returned for a query. `run`: the file or data set that says so."""

    query_id: str
    doc_id: str
    score: float
    at: str
    run: str


@dataclass(frozen=True, slots=True)
class IdGroup:
    """A training row by ids: the texts come from the passages and queries of the same input."""

    query_id: str
    doc_ids: Sequence[str]
    labels: Sequence[int]
    at: str
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A training row with its texts.

    Ids that the input does not give are None, and made from the text. `listed`: the row is a ranked list
    that belongs together; otherwise each of its positives makes a group with its negatives. The three lists
    after `docs` are as long as it.
    """

    query: str
    docs: Sequence[str]
    labels: Sequence[int]
    at: str
    query_id: str | None = None
    doc_ids: Sequence[str] | None = None
    first_stage_scores: Sequence[float | None] | None = None
    teacher_scores: Sequence[float | None] | None = None
    listed: bool = False
    split: Split | None = None


Record = Passage | Query | Judgement | LabelSource | Candidate | IdGroup | Example


class Reader(Protocol):
    """One input, opened: `records` streams it from its beginning on each call.

    `format`: its name in `docs/data.md`; `files`: what is read, for the person watching; `notes`: what there
    is to know about the reading, a line each, complete once `records` is exhausted.
    """

    @property
    def format(self) -> str: ...

    @property
    def files(self) -> Sequence[str]: ...

    @property
    def notes(self) -> Sequence[str]: ...

    def records(self) -> Iterator[Record]: ...


_SPLIT_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
    "eval": "test",
}


def split_named(name: str) -> Split | None:
    """The split that a file or split name speaks of: `qrels.dev.small.tsv` -> dev, `validation` -> dev."""
    import re

    words = re.findall(r"[a-z]+", Path(name).name.lower())
    return next((_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS), None)


def split_within(parts: Sequence[str]) -> Split | None:
    """The split that the last part of a path or id which speaks of one does: `nq/dev/judged` -> dev."""
    return next((split for part in reversed(parts) if (split := split_named(part)) is not None), None)


def splits_within(paths: Sequence[Path]) -> dict[Path, Split | None]:
    """What the name of each file says, or that of a folder below the one that holds all."""
    root = os.path.commonpath([path.parent for path in paths]) if paths else ""
    return {path: split_within(path.relative_to(root).parts) for path in paths}


def named_splits(paths: Sequence[Path]) -> dict[Path, Split | None]:
    """The split of each file of rows, by its name, or that of a folder below the one that holds all; None for
    all of them unless several splits are named.

    Raises `InputError` where some files are named after a split and others are not: what is held out for
    testing must not get among what is learned from.
    """
    named = splits_within(paths)
    if len(set(named.values())) < 2:
        return dict.fromkeys(paths)
    unnamed = next((path for path, split in named.items() if split is None), None)
    if unnamed is not None:
        raise InputError(
            f"{unnamed}: belongs to no split, others here are named after theirs; put train, dev or test in "
            "its name, or convert it alone"
        )
    return named


def did_you_mean(word: str, known: Iterable[str], most: int = 1) -> str:
    """What ends a sentence about a name that is not known: the nearest known ones, or a full stop."""
    near = difflib.get_close_matches(word, list(known), n=most)
    return f"; did you mean {' or '.join(near)}?" if near else "."


def show_names(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
