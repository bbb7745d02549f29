"""Where labels come from: `sources.tsv` beside the qrels names each judgement that no person made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import find_file, read_lines
from crosstune.progress import say
from crosstune.qrels_files import split_of
from crosstune.records import SPLITS, Qrels, Split

SOURCES_FILE = "sources.tsv"
HUMAN = "human"
GENERATED = "generated"
_HEADER = "split\tquery-id\tcorpus-id\tsource\tgenerator"


@dataclass(frozen=True, slots=True)
class LabelSource:
    """The origin of one judgement. `source`: `generated`; `generator`: the model or service that made it."""

    split: Split
    query_id: str
    doc_id: str
    source: str
    generator: str
    at: str = ""


def is_sources(path: Path) -> bool:
    """Whether the file begins as `sources.tsv` does."""
    return next((line for _, line in read_lines(path)), "") == _HEADER


def read_sources(path: Path) -> Iterator[LabelSource]:
    """Raises `InputError` with file and line for what is no such row."""
    for number, line in read_lines(path):
        columns = line.split("\t")
        if not line.strip() or number == 1:
            if number == 1 and line != _HEADER:
                raise InputError(f"{path}:1: found {line[:60]!r}; the header {_HEADER!r} was expected")
            continue
        at = f"{path}:{number}"
        if len(columns) != 5:
            raise InputError(
                f"{at}: found {len(columns)} tab-separated columns; {', '.join(_HEADER.split())} "
                "were expected"
            )
        split, query_id, doc_id, source, generator = columns
        if split not in SPLITS or source not in (HUMAN, GENERATED):
            raise InputError(
                f"{at}: split is {split!r} and source {source!r}; a split of {', '.join(SPLITS)} and one of "
                f"{HUMAN}, {GENERATED} were expected"
            )
        yield LabelSource(split, query_id, doc_id, source, generator, at)


def folder_sources(folder: Path) -> list[LabelSource]:
    """Those of a collection's folder; without the file all labels are a person's."""
    path = find_file(folder / SOURCES_FILE)
    return list(read_sources(path)) if path.is_file() else []


def source_lines(sources: Iterable[LabelSource]) -> Iterator[str]:
    """The lines of the file. A generator's name loses what would break a line."""
    yield f"{_HEADER}\n"
    for row in sources:
        generator = " ".join(row.generator.split())
        yield f"{row.split}\t{row.query_id}\t{row.doc_id}\t{row.source}\t{generator}\n"


def count_sources(sources: Iterable[LabelSource], qrels: Mapping[Split, Qrels]) -> dict[str, int]:
    """`{split}_judgements_generated`, and rows that name a judgement which the qrels do not have."""
    counts: Counter[str] = Counter()
    for row in sources:
        if row.doc_id not in qrels.get(row.split, {}).get(row.query_id, {}):
            counts["sources_of_unknown_judgements"] += 1
        elif row.source != HUMAN:
            counts[f"{row.split}_judgements_generated"] += 1
    return dict(counts)


def warn_generated(qrels: Path) -> None:
    """Says so where `sources.tsv` beside these judgements names some of them."""
    split = split_of(qrels)
    rows = folder_sources(qrels.parent.parent) if qrels.parent.name == "qrels" else []
    count = sum(row.split == split and row.source != HUMAN for row in rows)
    if count:
        say(generated_warning(count, str(qrels)))


def generated_warning(count: int, where: str) -> str:
    return (
        f"warning: {count} judgements of {where} are generated: the figures say how far this agrees with a "
        "model, not with people"
    )
