"""MS MARCO passage ranking's own files, read as streams: triples, top1000, qrels.

They are tab separated without any quoting. Every error names file and line.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import read_lines, refuse_pipe
from crosstune.records import Candidate
from crosstune.trec import trec_run_hint

TOP1000 = ("qid", "pid", "query", "passage")
RANKS = ("qid", "pid", "rank")
BROKEN_OFF = "usually a download or an unpacking that broke off: fetch and unpack it again"


@dataclass(frozen=True)
class Triple:
    """One line of `triples.train.small.tsv`."""

    query: str
    positive: str
    negative: str


def read_triples(path: Path) -> Iterator[Triple]:
    """Yields the lines `query, positive passage, negative passage`, one at a time.

    Raises `InputError` for a line without three columns or with an empty query, and for a file that ends
    inside a line.
    """
    check_whole(path)
    for number, columns in _rows(path, ("query", "positive passage", "negative passage")):
        if not columns[0].strip():
            raise InputError(f"{path}:{number}: the query is empty; a line is query, positive, negative")
        yield Triple(*columns)


def read_top1000(path: Path) -> Iterator[Candidate]:
    """Yields the lines `qid, pid, query, passage` in the order of the file, which is random.

    Raises `InputError` for a line without four columns, an id that is no integer, a query id that comes
    with two texts, for a file that ends inside a line, and, after its last line, for a passage that is
    listed twice for a query.
    """
    check_whole(path)
    texts: dict[str, tuple[int, str]] = {}
    for number, (query_id, doc_id, query, passage) in _listed_once(path, TOP1000):
        for name, value in (("qid", query_id), ("pid", doc_id)):
            _integer(path, number, name, value)
        first, text = texts.setdefault(query_id, (number, query))
        if text != query:
            raise InputError(
                f"{path}:{number}: query {query_id} is {query[:60]!r} here and {text[:60]!r} on line "
                f"{first}; a query has one text. Check that the files were not mixed"
            )
        yield Candidate(query_id, doc_id, query, passage)


def read_qrels(path: Path) -> dict[str, set[str]]:
    """Query id -> ids of its relevant passages, from lines `qid 0 pid 1`.

    As in the official script every line names a relevant passage, whatever its fourth column says. Raises
    `InputError` for a line without four columns, an id that is no integer, and an empty file.
    """
    check_whole(path)
    qrels: dict[str, set[str]] = {}
    for number, (query_id, _, doc_id, _) in _rows(path, ("qid", "0", "pid", "1")):
        qrels.setdefault(_integer(path, number, "qid", query_id), set()).add(
            _integer(path, number, "pid", doc_id)
        )
    if not qrels:
        raise InputError(f"{path}: is empty; lines qid 0 pid 1 were expected")
    return qrels


def read_msmarco_run(path: Path) -> dict[str, dict[str, int]]:
    """Query id -> passage id -> rank, from lines `qid pid rank`. Raises `InputError` as
    `read_msmarco_ranks`."""
    run: dict[str, dict[str, int]] = {}
    for query_id, doc_id, rank in read_msmarco_ranks(path):
        run.setdefault(query_id, {})[doc_id] = rank
    return run


def read_msmarco_ranks(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yields the lines `qid, pid, rank` in the order of the file.

    Raises `InputError` for a line without three columns, an id or a rank that is no integer, a rank that is
    not from 1 to 1,000, and, after the last line, for a passage that is listed twice for a query.
    """
    check_whole(path)
    for number, (query_id, doc_id, rank) in _listed_once(path, RANKS):
        for name, value in (("qid", query_id), ("pid", doc_id), ("rank", rank)):
            _integer(path, number, name, value)
        if not 1 <= int(rank) <= 1000:
            raise InputError(f"{path}:{number}: rank is {rank}; 1 to 1000 was expected")
        yield query_id, doc_id, int(rank)


def check_whole(path: Path) -> None:
    """Raises `InputError` when the file is missing, empty, a pipe, or its last line has no end."""
    refuse_pipe(path)
    next(read_lines(path), None)
    size = path.stat().st_size
    if not size:
        raise InputError(f"{path}: is empty; {BROKEN_OFF}")
    with path.open("rb") as handle:
        handle.seek(size - 1)
        if handle.read(1) != b"\n":
            raise InputError(
                f"{path}: ends inside a line (after {size:,} bytes); {BROKEN_OFF}. If it is whole, "
                "end its last line with a line break"
            )


def _rows(path: Path, names: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    for number, line in read_lines(path):
        columns = line.split("\t")
        if len(columns) != len(names):
            hint = trec_run_hint(line) if names is RANKS else ""
            raise InputError(
                f"{path}:{number}: found {len(columns)} tab-separated columns, {len(names)} were expected: "
                f"{', '.join(names)}{hint}"
            )
        yield number, columns


def _listed_once(path: Path, names: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """The rows, whose first columns are query and passage. Raises `InputError` after the last one where a
    passage stands twice for a query. The file may be in any order and long: 8 bytes a row are held."""
    listed: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))
    for number, columns in _rows(path, names):
        listed[columns[0]].append(hash(columns[1]))
        yield number, columns
    for query_id, hashes in listed.items():
        if len(set(hashes)) < len(hashes):
            _name_twin(path, names, query_id)


def _name_twin(path: Path, names: tuple[str, ...], query_id: str) -> None:
    """Reads the file again for the lines; nothing is raised where two hashes alone were the same."""
    first: dict[str, int] = {}
    for number, columns in _rows(path, names):
        if columns[0] == query_id and first.setdefault(columns[1], number) != number:
            raise InputError(
                f"{path}:{number}: passage {columns[1]} is listed twice for query {query_id}, first on line "
                f"{first[columns[1]]}; a ranking holds each once. To keep the first of each: "
                f"""awk -F'\\t' '!seen[$1, $2]++' {path.name}"""
            )


def _integer(path: Path, number: int, name: str, value: str) -> str:
    if not (value.isascii() and value.isdigit()):
        raise InputError(f"{path}:{number}: {name} is {value[:40]!r}; MS MARCO's ids are integers")
    return value
