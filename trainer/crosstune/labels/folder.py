"""A collection's folder with labels that no person made: what is read of it, and the new one beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crosstune.data import prepare_collection, read_collection
from crosstune.data.convert import check_target
from crosstune.data.readers.beir import read_qrels
from crosstune.data.readers.records import Judgement
from crosstune.data.schema import COLLECTION_FILE, COLLECTION_VERSION, COMPANIONS
from crosstune.data.writers import CANDIDATES
from crosstune.errors import InputError
from crosstune.files import find_file, read_json, read_jsonl, staged_folder, write_json, write_jsonl
from crosstune.label_sources import (
    GENERATED,
    HUMAN,
    SOURCES_FILE,
    LabelSource,
    folder_sources,
    source_lines,
)
from crosstune.qrels_files import split_file
from crosstune.records import SPLITS, Collection, Split


@dataclass(frozen=True)
class Labelled:
    """A collection and where it lies. `sources`: of the judgements that no person made."""

    path: Path
    collection: Collection
    sources: tuple[LabelSource, ...]

    @property
    def generated(self) -> frozenset[tuple[str, str]]:
        """`(query id, document id)` of the judgements that no person made."""
        return frozenset((row.query_id, row.doc_id) for row in self.sources if row.source != HUMAN)

    def by_people(self, split: Split) -> dict[str, dict[str, int]]:
        """The judgements of a split that people made."""
        generated = self.generated
        found = {
            query_id: {d: grade for d, grade in judged.items() if (query_id, d) not in generated}
            for query_id, judged in self.collection.qrels.get(split, {}).items()
        }
        return {query_id: judged for query_id, judged in found.items() if judged}


@dataclass(frozen=True)
class NewQuery:
    query_id: str
    text: str
    generator: str


@dataclass(frozen=True)
class NewLabel:
    split: Split
    query_id: str
    doc_id: str
    grade: int
    generator: str


@contextmanager
def open_labelled(spec: str, seed: int, out: Path | None, *, overwrite: bool) -> Iterator[Labelled]:
    """A BEIR folder, which may lack queries and qrels, or what a recipe's `collection` may name (converted
    into a temporary folder first). Raises `InputError` for whatever cannot be used, and for a folder `out`
    that may not be written."""
    path = Path(spec.removeprefix("beir:")).expanduser()
    if out is not None:
        check_target(out, path, overwrite=overwrite)
    if find_file(path / "corpus.jsonl").is_file():
        yield _read(path)
    elif path.is_dir() and ":" not in spec:
        raise InputError(f"{path}: no corpus.jsonl; a BEIR folder was expected, or KIND:PATH as in a recipe")
    else:
        with TemporaryDirectory(prefix="crosstune-") as scratch:
            yield _read(prepare_collection(spec, Path(scratch) / "collection", seed, to_train=False))


def _read(path: Path) -> Labelled:
    return Labelled(path, read_collection(path, judged=False), tuple(folder_sources(path)))


def write_labelled(
    source: Labelled,
    out: Path,
    queries: Sequence[NewQuery],
    labels: Sequence[NewLabel],
    about: Mapping[str, Any],
    record: tuple[str, Sequence[Mapping[str, Any]]],
) -> dict[str, dict[str, int]]:
    """Writes the folder `out` whole or not at all: the collection of `source` with `queries` and `labels`.

    `record`: name and rows of the file that tells what became of each of them; those of an earlier call stay
    before. Returns split -> source -> judgements.
    """
    with staged_folder(out) as folder:
        _copy(source.path, folder)
        write_jsonl(folder / "queries.jsonl", _query_rows(source.path, queries))
        counts = {split: _write_qrels(source, folder, split, labels) for split in SPLITS}
        rows = [*source.sources, *(LabelSource(n.split, n.query_id, n.doc_id, GENERATED, n.generator)
                                   for n in labels)]  # fmt: skip
        with (folder / SOURCES_FILE).open("w", encoding="utf-8") as handle:
            handle.writelines(source_lines(rows))
        name, records = record
        _append(folder / name, records)
        before = read_json(folder / COLLECTION_FILE) if (folder / COLLECTION_FILE).is_file() else {}
        write_json(folder / COLLECTION_FILE, {"schema": COLLECTION_VERSION, **before, **about})
    return {split: found for split, found in counts.items() if found}


def _copy(source: Path, folder: Path) -> None:
    """The corpus byte by byte, candidates, and the files that tell how the collection was made."""
    for path in (find_file(source / "corpus.jsonl"), *(source / name for name in COMPANIONS)):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    if (source / CANDIDATES).is_dir():
        shutil.copytree(source / CANDIDATES, folder / CANDIDATES)


def _query_rows(source: Path, queries: Sequence[NewQuery]) -> Iterator[dict[str, Any]]:
    path = find_file(source / "queries.jsonl")
    if path.is_file():
        for _, row in read_jsonl(path):
            yield row | {"source": row.get("source", HUMAN)}
    for query in queries:
        yield {
            "_id": query.query_id,
            "text": query.text,
            "source": GENERATED,
            "generator": query.generator,
        }


def _write_qrels(source: Labelled, folder: Path, split: Split, labels: Sequence[NewLabel]) -> dict[str, int]:
    """The judgements that were there, and after them the new ones; how many by whom."""
    path = split_file(source.path / "qrels", split)
    before: list[Judgement] = list(read_qrels(path)) if path.is_file() else []
    new = [label for label in labels if label.split == split]
    if not before and not new:
        return {}
    (folder / "qrels").mkdir(exist_ok=True)
    with (folder / "qrels" / f"{split}.tsv").open("w", encoding="utf-8") as handle:
        handle.write("query-id\tcorpus-id\tscore\n")
        rows = ((row.query_id, row.doc_id, row.grade) for part in (before, new) for row in part)
        handle.writelines(f"{query_id}\t{doc_id}\t{grade}\n" for query_id, doc_id, grade in rows)
    generated = source.generated
    old = sum((row.query_id, row.doc_id) in generated for row in before)
    return {HUMAN: len(before) - old, GENERATED: old + len(new)}


def _append(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("a", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def counts_line(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Split by split, who judged how often."""
    return "; ".join(
        f"{split}: {found[HUMAN]} judgements by people, {found[GENERATED]} generated"
        for split, found in counts.items()
    )


def shown_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())
