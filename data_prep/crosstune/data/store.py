"""Where a conversion gathers what its reader streams: on disk, so that memory stays flat."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from crosstune.data.readers.ids import content_id
from crosstune.data.readers.records import Candidate, Example, IdGroup, Judgement, Passage, Query, Record
from crosstune.errors import InputError
from crosstune.full_disk import refuse_full_database
from crosstune.label_sources import HUMAN, LabelSource

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA temp_store = FILE;
PRAGMA cache_size = -65536;
CREATE TABLE passages (place INTEGER PRIMARY KEY, id TEXT UNIQUE, text TEXT, title TEXT, more TEXT, at TEXT);
CREATE TABLE queries (place INTEGER PRIMARY KEY, id TEXT UNIQUE, text TEXT, more TEXT, at TEXT);
CREATE TABLE judgements (
    place INTEGER PRIMARY KEY, split TEXT, query TEXT, doc TEXT, grade INTEGER, at TEXT,
    UNIQUE (query, doc, split)
);
CREATE TABLE candidates (query TEXT, doc TEXT, score REAL, UNIQUE (query, doc));
CREATE TABLE answered (query TEXT PRIMARY KEY, run TEXT);
CREATE TABLE sources (
    place INTEGER PRIMARY KEY, split TEXT, query TEXT, doc TEXT, source TEXT, generator TEXT
);
CREATE TABLE rows (
    place INTEGER PRIMARY KEY, split TEXT, query TEXT, docs TEXT, labels TEXT, first_stage TEXT, teacher TEXT,
    listed INTEGER
);
"""


class Store:
    """The records of one input, in a database file that is thrown away afterwards.

    `counts` says what was met: repeated and empty texts, ids made from texts, and the like. Training rows are
    kept when `keep_rows`; their labels become judgements in any case.
    """

    def __init__(self, path: Path, *, keep_rows: bool) -> None:
        self.connection = sqlite3.connect(path)
        self.connection.executescript(_TABLES)
        self.counts: Counter[str] = Counter()
        self.characters: Counter[str] = Counter()
        self._keep_rows = keep_rows
        self._last_answered = ("", "")
        self._judged = False

    def add(self, record: Record) -> None:
        """Raises `InputError` with file and line when it contradicts what came before."""
        match record:
            case Passage():
                self._add_passage(record)
            case Query():
                self._add_query(record)
            case Judgement():
                self._judged = True
                self._add_judgement(record)
            case LabelSource():
                self._add_source(record)
            case Candidate():
                self._add_candidate(record)
            case Example():
                self._add_example(record)
            case IdGroup():
                self._add_id_group(record)

    def _add_passage(self, passage: Passage) -> None:
        more = json.dumps(passage.more, ensure_ascii=False) if passage.more else None
        values = (passage.doc_id, passage.text, passage.title, more, passage.at)
        added = self._insert("passages (id, text, title, more, at)", values)
        if not added:
            self._same("passages", passage.doc_id, (passage.text, passage.title), "text, title", passage.at)
        elif not passage.text.strip() and not passage.title.strip():
            self.counts["empty passages"] += 1
        elif len(passage.text) > 1_000_000:
            self.counts["passages over 1 MB"] += 1

    def _add_query(self, query: Query) -> None:
        more = json.dumps(query.more, ensure_ascii=False) if query.more else None
        values = (query.query_id, query.text, more, query.at)
        added = self._insert("queries (id, text, more, at)", values)
        if not added:
            self._same("queries", query.query_id, (query.text,), "text", query.at)
        elif not query.text.strip():
            self.counts["empty queries"] += 1

    def _same(self, table: str, key: str, texts: tuple[str, ...], columns: str, at: str) -> None:
        found = self.connection.execute(f"SELECT at, {columns} FROM {table} WHERE id = ?", (key,)).fetchone()
        if found[1:] != texts:
            raise InputError(f"{at}: id {key!r} is already at {found[0]} with another text; ids are unique")
        self.counts[f"repeated {table}"] += 1

    def _add_judgement(self, judgement: Judgement) -> None:
        split, query, doc = judgement.split or "", judgement.query_id, judgement.doc_id
        values = (split, query, doc, judgement.grade, judgement.at)
        if self._insert("judgements (split, query, doc, grade, at)", values):
            self.counts["grades below 0"] += judgement.grade < 0
            return
        grade, at = self._judgement(split, query, doc)
        if grade != judgement.grade:
            raise InputError(
                f"{judgement.at}: query {query!r} and document {doc!r} are judged twice, "
                f"{grade} (at {at}) and {judgement.grade}"
            )
        self.counts["repeated judgements"] += 1

    def _add_source(self, row: LabelSource) -> None:
        values = (row.split, row.query_id, row.doc_id, row.source, row.generator)
        self._insert("sources (split, query, doc, source, generator)", values)
        self.counts["judgements that are generated"] += row.source != HUMAN

    def _add_candidate(self, candidate: Candidate) -> None:
        query, doc = candidate.query_id, candidate.doc_id
        if (query, candidate.run) != self._last_answered:
            self._of_one_run(candidate)
        if not self._insert("candidates (query, doc, score)", (query, doc, candidate.score)):
            raise InputError(
                f"{candidate.at}: document {doc!r} is listed twice for query {query!r}; keep the line that "
                "counts"
            )

    def _of_one_run(self, candidate: Candidate) -> None:
        query, run = self._last_answered = (candidate.query_id, candidate.run)
        if self._insert("answered (query, run)", (query, run)):
            return
        before = self.connection.execute("SELECT run FROM answered WHERE query = ?", (query,)).fetchone()[0]
        if before != run:
            raise InputError(
                f"{candidate.at}: query {query!r} has candidates in {before} already, and scores of two runs "
                "are no one ranking; keep one of the two here (mining takes others as mine.further, see "
                "docs/mining.md)"
            )

    def _add_example(self, example: Example) -> None:
        query_id = example.query_id or content_id(example.query)
        doc_ids = list(example.doc_ids or map(content_id, example.docs))
        self.counts["queries named by their text"] += self._text_query(query_id, example)
        for doc_id, text in zip(doc_ids, example.docs, strict=True):
            if example.doc_ids:
                self._add_passage(Passage(doc_id, text, example.at))
            elif self._insert("passages (id, text, title, at)", (doc_id, text, "", example.at)):
                self.counts["passages named by their text"] += 1
                self.counts["empty passages"] += not text.strip()
        self.characters["queries"] += len(example.query) * len(example.docs)
        self.characters["passages"] += sum(map(len, example.docs))
        self._add_row(example, query_id, doc_ids)
        if len(doc_ids) == 1 and not example.listed:
            return
        if self._keep_rows:
            self._keep_row(example.split, query_id, doc_ids, example.labels, example.listed, _scores(example))

    def _text_query(self, query_id: str, example: Example) -> bool:
        if example.query_id:
            self._add_query(Query(query_id, example.query, example.at))
            return False
        added = self._insert("queries (id, text, at)", (query_id, example.query, example.at))
        self.counts["empty queries"] += added and not example.query.strip()
        return added

    def _add_id_group(self, group: IdGroup) -> None:
        if self._judged:
            self.counts["id triples beside qrels (for groups only)"] += 1
        else:
            self._add_row(group, group.query_id, group.doc_ids)
        if self._keep_rows:
            self._keep_row(group.split, group.query_id, group.doc_ids, group.labels, False, (None, None))

    def _add_row(self, row: Example | IdGroup, query_id: str, doc_ids: Sequence[str]) -> None:
        """Judges the row's documents. Where rows disagree on a pair the higher grade stands, counted."""
        self.counts["rows"] += 1
        self.counts["rows without a positive"] += max(row.labels) <= 0
        if isinstance(row, Example) and _any(row.teacher_scores) and not self._keep_rows:
            self.counts["rows whose teacher scores a BEIR folder cannot hold"] += 1
        split = row.split or ""
        for doc_id, grade in zip(doc_ids, row.labels, strict=True):
            values = (split, query_id, doc_id, grade, row.at)
            if self._insert("judgements (split, query, doc, grade, at)", values):
                continue
            before, _ = self._judgement(split, query_id, doc_id)
            self.counts["pairs that rows grade differently (the higher is kept)"] += before != grade
            if grade > before:
                self.connection.execute(
                    "UPDATE judgements SET grade = ? WHERE split = ? AND query = ? AND doc = ?",
                    (grade, split, query_id, doc_id),
                )

    def _keep_row(
        self,
        split: str | None,
        query_id: str,
        doc_ids: Sequence[str],
        labels: Sequence[int],
        listed: bool,
        scores: tuple[str | None, str | None],
    ) -> None:
        ids, grades = json.dumps(list(doc_ids)), json.dumps(list(labels))
        self._insert(
            "rows (split, query, docs, labels, listed, first_stage, teacher)",
            (split or "", query_id, ids, grades, listed, *scores),
        )

    def _insert(self, into: str, values: tuple[object, ...]) -> bool:
        """False when a row with this key is there already."""
        marks = ", ".join("?" * len(values))
        done = self.connection.execute(f"INSERT OR IGNORE INTO {into} VALUES ({marks})", values)
        return done.rowcount == 1

    def _judgement(self, split: str, query: str, doc: str) -> tuple[int, str]:
        found: tuple[int, str] = self.connection.execute(
            "SELECT grade, at FROM judgements WHERE split = ? AND query = ? AND doc = ?", (split, query, doc)
        ).fetchone()
        return found

    def number(self, sql: str, *values: object) -> int:
        """The one number that a query answers with."""
        found = self.connection.execute(sql, values).fetchone()
        return int(found[0])

    def ask(self, sql: str, *values: object) -> Iterator[tuple[str, ...]]:
        """The rows that a query answers with, streamed."""
        return self.connection.execute(sql, values)


@contextmanager
def open_store(path: Path, *, keep_rows: bool) -> Iterator[Store]:
    """A store in the file `path`, which is gone afterwards. Raises `OSError` with the file when the disk is
    full."""
    try:
        store = Store(path, keep_rows=keep_rows)
        with closing(store.connection):
            yield store
    except sqlite3.OperationalError as error:
        refuse_full_database(error, path)
        raise
    finally:
        path.unlink(missing_ok=True)


def _scores(example: Example) -> tuple[str | None, str | None]:
    first, teacher = example.first_stage_scores, example.teacher_scores
    return (
        json.dumps(list(first)) if first and _any(first) else None,
        json.dumps(list(teacher)) if teacher and _any(teacher) else None,
    )


def _any(scores: Sequence[float | None] | None) -> bool:
    return any(score is not None for score in scores or ())
