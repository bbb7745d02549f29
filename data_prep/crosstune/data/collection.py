"""Reading a BEIR folder, with an error that names file and line for whatever cannot be used."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from crosstune.data.convert import convert, source_digest
from crosstune.data.readers import FORMATS, Source, parse_source
from crosstune.data.readers.beir import header_notes, read_corpus, read_qrels, read_queries
from crosstune.data.readers.records import Passage, Query, split_named
from crosstune.data.schema import COLLECTION_FILE, COLLECTION_VERSION, check_folder
from crosstune.data.splits import SplitRule
from crosstune.data.stdlib import StdlibMode, build_stdlib
from crosstune.errors import InputError
from crosstune.files import COMPRESSED, find_file, sha256_files
from crosstune.label_sources import HUMAN, SOURCES_FILE, count_sources, folder_sources
from crosstune.progress import say
from crosstune.qrels_files import QrelsFiles, qrels_files
from crosstune.records import OF_UNKNOWN_DOCUMENTS, SPLITS, Collection, Qrels, Split

LONG_DOCUMENT_CHARACTERS = 1_000_000


STDLIB_MODES: dict[str, StdlibMode] = {"stdlib": "mixed", "stdlib:code": "code", "stdlib:mixed": "mixed"}


def prepare_collection(
    spec: str, folder: Path, seed: int = 13, *, show_texts: bool = True, to_train: bool = True
) -> Path:
    """The BEIR folder behind `spec`: `stdlib`, `stdlib:code` or `stdlib:mixed` (built into `folder`),
    `beir:PATH` (used where it is), or another source that `crosstune convert` reads (converted into `folder`;
    what it lacks of splits is drawn by `seed`, from an evaluation's judgements only `to_train`; its first
    texts are shown where `show_texts`). Raises `InputError` for a source to convert that `folder` lies in."""
    if spec in STDLIB_MODES:
        build_stdlib(folder, mode=STDLIB_MODES[spec])
        return folder
    source = _source(spec)
    if source.kind == "beir":
        return source.path
    if source.path.is_dir() and folder.resolve().is_relative_to(source.path.resolve()):
        raise InputError(
            f"{source.path}: what is made of it would be written into it ({folder}), and each stage would "
            "find it changed; give a run folder elsewhere with run_dir=PATH"
        )
    convert(spec, folder, rule=SplitRule(seed=seed, to_train=to_train), show_texts=show_texts)
    return folder


def collection_digest(spec: str, seed: int) -> str:
    """What the collection is made from: the Python version, or the bytes of the user's files."""
    if spec in STDLIB_MODES:
        return sys.version
    source = _source(spec)
    if source.kind == "beir":
        return beir_digest(source.path) if source.path.is_dir() else ""
    return f"{source_digest(source)} {seed}"


def beir_digest(folder: Path) -> str:
    """One digest over the files of a BEIR folder that are read: whatever else lies there, as a run folder,
    may change."""
    names = ("corpus.jsonl", "queries.jsonl", COLLECTION_FILE, SOURCES_FILE)
    named = [find_file(folder / name) for name in names]
    judged = qrels_files(folder / "qrels").read.values()
    return sha256_files(folder, [path for path in (*named, *judged) if path.is_file()])


def _source(spec: str) -> Source:
    kind, colon, where = spec.partition(":")
    if not colon or not where or kind not in (*FORMATS, "auto"):
        raise InputError(
            f"collection {spec!r} is not known; give stdlib or beir:PATH, or KIND:PATH with a kind that "
            f"crosstune convert reads: {', '.join((*FORMATS, 'auto'))}"
        )
    return parse_source(spec, FORMATS)


def read_collection(folder: Path, *, judged: bool = True) -> Collection:
    """Reads `corpus.jsonl`, `queries.jsonl` and the `qrels/*.tsv` that are there, by `qrels_files`.

    A passage is title and text joined by a space. What cannot be used but does no harm (judgements of
    unknown ids, queries without positives, empty texts) is counted in `counts`, and so are the queries and
    judgements that no person made. A query of dev or test of which no judged passage is in the corpus stays,
    judged `{}`: it counts 0 for every system. Raises `InputError` for the rest: a missing file (queries and
    qrels may be missing when not `judged`), judgements in two files of one split, or in one of another name
    where a split is missing, invalid JSON or UTF-8, a duplicate id, a grade that is no integer.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; a BEIR folder (corpus.jsonl, queries.jsonl, qrels/) was expected"
        )
    check_folder(folder, COLLECTION_FILE, COLLECTION_VERSION)
    counts: Counter[str] = Counter()
    passages = _texts(read_corpus(find_file(folder / "corpus.jsonl")), "document", counts)
    asked = find_file(folder / "queries.jsonl")
    queries = _texts(read_queries(asked), "query", counts) if judged or asked.exists() else {}
    qrels: dict[Split, Qrels] = {}
    files = qrels_files(folder / "qrels")
    _check_names(files)
    unread = (f"file not read: {path}" for path in files.passed_over)
    for note in (*unread, *header_notes(files.read.values())):
        _say_once(f"note: {note}")
    for split, path in files.read.items():
        qrels[split] = _qrels(path, split, queries, passages, counts)
    if not qrels and judged:
        raise InputError(f"{folder / 'qrels'}: none of train.tsv, dev.tsv and test.tsv is there")
    counts.update(count_sources(folder_sources(folder), qrels))
    return Collection(folder.name, passages, queries, qrels, dict(counts))


@cache
def _say_once(message: str) -> None:
    """Several stages of a run read its collection."""
    say(message)


def _check_names(files: QrelsFiles) -> None:
    """All commands find a split by one name; judgements under another would be left out without a word."""
    for path in files.further:
        if path in files.passed_over:
            continue
        split = split_named(path.name)
        if split and split not in files.read:
            advice = f"rename it to {split}.tsv{path.suffix if path.suffix in COMPRESSED else ''}"
        else:
            advice = "name it after its split, or move it out of the folder"
        raise InputError(
            f"{path}: judgements are read from {', '.join(f'{split}.tsv' for split in SPLITS)}; {advice}"
        )


def _texts(records: Iterable[Passage | Query], kind: str, counts: Counter[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    lines: dict[str, str] = {}
    for record in records:
        identifier = record.doc_id if isinstance(record, Passage) else record.query_id
        title = record.title if isinstance(record, Passage) else ""
        if identifier in lines:
            raise InputError(
                f"{record.at}: id {identifier!r} is already on line {lines[identifier]}; ids are unique"
            )
        lines[identifier] = record.at.rpartition(":")[2]
        if isinstance(record, Query) and (record.more or {}).get("source", HUMAN) != HUMAN:
            counts["queries_generated"] += 1
        texts[identifier] = f"{title} {record.text}".strip()
        if not texts[identifier]:
            counts[f"empty_{kind}"] += 1
        if len(record.text) > LONG_DOCUMENT_CHARACTERS:
            counts[f"{kind}_over_1_MB"] += 1
    return texts


def _qrels(
    path: Path, split: Split, queries: dict[str, str], passages: dict[str, str], counts: Counter[str]
) -> Qrels:
    qrels: Qrels = {}
    unknown: Counter[str] = Counter()
    asked: set[str] = set()
    for judgement in read_qrels(path):
        query_id, doc_id, grade = judgement.query_id, judgement.doc_id, judgement.grade
        if query_id not in queries:
            unknown["unknown_query"] += 1
            continue
        asked.add(query_id)
        if split != "train":  # nothing is mined for a query without a passage, but no mean leaves it out
            qrels.setdefault(query_id, {})
        if doc_id not in passages:
            unknown["unknown_document"] += 1
        elif qrels.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
            raise InputError(
                f"{judgement.at}: query {query_id!r} and document {doc_id!r} are judged twice, "
                f"{qrels[query_id][doc_id]} and {grade}"
            )
    for reason, count in unknown.items():
        counts[f"{split}_judgements_of_{reason}"] = count
    if not any(qrels.values()):
        raise InputError(
            f"{path}: no judgement is left ({unknown['unknown_query']} name queries that are not in "
            f"queries.jsonl, {unknown['unknown_document']} documents that are not in corpus.jsonl); "
            "check that the ids of all files are of one collection"
        )
    if bare := sum(not qrels.get(query_id) for query_id in asked):
        counts[f"{split}_queries_{OF_UNKNOWN_DOCUMENTS}"] = bare
    without = sum(all(grade <= 0 for grade in judged.values()) for judged in qrels.values())
    if without:
        counts[f"{split}_queries_without_positive"] = without
    return qrels
