"""Which reader an input gets: the one place where formats are told apart, by file names and first lines."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from crosstune.data.readers.collections import ROLES, CollectionFiles, family_of
from crosstune.data.readers.hub import open_groups, open_hub, open_saved
from crosstune.data.readers.irds import IrDatasets
from crosstune.data.readers.records import Reader, show_names
from crosstune.data.readers.rows import SUFFIXES, first_fields, open_rows, suffix_of, unknown_fields
from crosstune.data.readers.schemas import NAMES, recognise_schema
from crosstune.data.readers.source import Source
from crosstune.data.readers.triples import TripleFiles
from crosstune.data.schema import COLLECTION_FILE, COLLECTION_VERSION, COMPANIONS, check_folder
from crosstune.errors import InputError
from crosstune.files import COMPRESSED, read_lines
from crosstune.label_sources import SOURCES_FILE, is_sources
from crosstune.qrels_files import qrels_files

FAMILIES = ("beir", "msmarco", "trec")
FORMATS = (*FAMILIES, "triples", *NAMES, "datasets", "groups", "ir_datasets")

_TABLE = r"\.(tsv|txt)$"
_NAMES = (
    (r"cbor.*outlines$|outlines\.cbor$", "outlines.cbor"),
    (r"paragraph.*\.cbor$", "paragraphs.cbor"),
    (r"^corpus\.jsonl$", "corpus.jsonl"),
    (r"^queries\.jsonl$", "queries.jsonl"),
    (rf"(qidpid|id_?triples|triples.*ids).*{_TABLE}", "id triples"),
    (rf"triples.*{_TABLE}", "triples"),
    (rf"top_?1000.*{_TABLE}", "top1000"),
    (r"qrels.*\.tsv$", "qrels"),
    (r"qrels|\.qrels?$", "trec qrels"),
    (rf"^collection.*{_TABLE}", "collection.tsv"),
    (rf"queries.*{_TABLE}", "queries.tsv"),
    (r"topics", "topics"),
    (r"\.(run|trec)$|^run\.", "run"),
)


def open_reader(source: Source) -> Reader:
    """The reader for a source. Raises `InputError` when nothing can be recognised, when there are several
    formats side by side, and what the formats themselves refuse at a first look."""
    if source.kind == "ir_datasets":
        return IrDatasets([name for name in source.where.split(",") if name])
    path = source.path
    if not path.exists():
        if source.kind == "datasets":
            return open_hub(source.where, source.columns)
        raise InputError(
            f"{path}: no such file or folder; a path, ir_datasets:ID or datasets:NAME was expected"
        )
    if path.is_file():
        return _open_files({path: _label(path)}, source, [])
    if source.kind in ("auto", "groups") and (path / "groups").is_dir():
        return open_groups(path)
    if (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file():
        return open_saved(path, source.columns)
    check_folder(path, COLLECTION_FILE, COLLECTION_VERSION)
    labels = {file: _label(file) for file in _files(path)}
    silent = [str(file.relative_to(path)) for file, label in labels.items() if label is None]
    return _open_files({f: label for f, label in labels.items() if label}, source, silent)


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.name not in COMPANIONS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _label(path: Path) -> str | None:
    """The role or schema of a file; None for one that is no data (a README, checksums)."""
    name = path.name.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    if path.parent.name == "qrels" and name.endswith(".tsv"):
        return "beir qrels"
    if name == SOURCES_FILE and is_sources(path):
        return SOURCES_FILE
    role = next((role for pattern, role in _NAMES if re.search(pattern, name)), None)
    if suffix_of(path) in SUFFIXES and role not in ("corpus.jsonl", "queries.jsonl"):
        schema = recognise_schema(first_fields(path))
        return schema.name if schema else "rows of an unknown schema"
    if role is None and suffix_of(path) in (".tsv", ".txt") and _tabs(path) == 2:
        return "triples"
    return role


def _tabs(path: Path) -> int:
    return next((line.count("\t") for _, line in read_lines(path)), 0)


def _open_files(labels: Mapping[Path, str | None], source: Source, silent: Sequence[str]) -> Reader:
    by_kind: dict[str, dict[Path, str]] = defaultdict(dict)
    for path, label in labels.items():
        kind = "collection" if label in ROLES else label
        by_kind[str(kind)][path] = str(label)
    wanted = _wanted(source, by_kind)
    passed = [str(path) for kind, paths in by_kind.items() if kind != wanted for path in paths]
    passed_over = [f"file not read: {name}" for name in (*passed, *silent)]
    if wanted == "collection":
        return _collection(by_kind[wanted], source, passed_over)
    if wanted == "triples":
        return TripleFiles(list(by_kind[wanted]), passed_over)
    name = None if source.kind in ("auto", "datasets") else source.kind
    return open_rows(list(by_kind[wanted]), name, source.columns, passed_over)


def _wanted(source: Source, by_kind: Mapping[str, Mapping[Path, str]]) -> str:
    """The kind to read. Raises `InputError` when it is not there, and when several are and none is named."""
    wanted = "collection" if source.kind in FAMILIES else source.kind
    tables = [kind for kind in by_kind if kind in NAMES or kind == "rows of an unknown schema"]
    if source.columns and len(tables) == 1:
        return tables[0]
    if wanted != "auto":
        if wanted in by_kind:
            return wanted
        if len(tables) == len(by_kind) == 1:
            return tables[0]
        found = "; ".join(_shown(kind, paths) for kind, paths in by_kind.items()) or "no file of data"
        raise InputError(f"{source.where}: nothing of the format {source.kind} is there; found: {found}")
    if not by_kind or list(by_kind) == ["None"]:
        raise InputError(
            f"{source.where}: no format was recognised; give one with --format ({', '.join(FORMATS)}) and "
            "see docs/data.md"
        )
    if len(by_kind) > 1:
        found = "; ".join(_shown(kind, paths) for kind, paths in by_kind.items())
        raise InputError(
            f"{source.where}: files of several formats ({found}); keep one, or name the one to read with "
            "--format"
        )
    (only,) = by_kind
    if only == "rows of an unknown schema":
        (path, *_) = by_kind[only]
        raise InputError(unknown_fields(path, first_fields(path), None))
    return only


def _shown(kind: str, paths: Mapping[Path, str]) -> str:
    names = show_names([path.name for path in paths], 4)
    label = (family_of(list(paths.values())) or "collections") if kind == "collection" else kind
    return f"{label}: {names}"


def _collection(roles: Mapping[Path, str], source: Source, passed_over: Sequence[str]) -> CollectionFiles:
    folders = {path.parent for path, role in roles.items() if role == "beir qrels"}
    further = {path for folder in folders for path in qrels_files(folder).passed_over}
    passed_over = [*passed_over, *(f"file not read: {path}" for path in sorted(further))]
    roles = {path: role for path, role in roles.items() if path not in further}
    family = family_of(list(roles.values()))
    if source.kind in FAMILIES and source.kind != family:
        kept = {p: role for p, role in roles.items() if ROLES[role][0] == source.kind}
        kept = kept if source.kind == "beir" else {**kept, **_shared_corpus(roles)}
        passed_over = [*passed_over, *(f"file not read: {path}" for path in roles if path not in kept)]
        roles, family = kept, family_of(list(kept.values())) if kept else None
    if family is None:
        names = "; ".join(f"{path.name} ({role})" for path, role in roles.items()) or "no file of it"
        raise InputError(
            f"{source.where}: files of several formats that exclude each other ({names}); keep those of one "
            "collection, or name the one to read with --format"
        )
    if not {"corpus.jsonl", "collection.tsv", "paragraphs.cbor", "top1000"} & set(roles.values()):
        raise InputError(
            f"{source.where}: a collection without passages ({show_names([p.name for p in roles])}); add "
            "corpus.jsonl or collection.tsv to the folder"
        )
    return CollectionFiles(family, roles, passed_over)


def _shared_corpus(roles: Mapping[Path, str]) -> dict[Path, str]:
    """TREC's files come without a corpus: the one of the folder is theirs."""
    return {path: role for path, role in roles.items() if role in ("corpus.jsonl", "collection.tsv")}
