"""Texts by id, on disk: a run's passages may be more than fit into memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from crosstune.errors import InputError
from crosstune.files import read_jsonl
from crosstune.records import json_id
from crosstune.serve.given import checked_text

Table = Literal["queries", "documents"]
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE queries (id TEXT PRIMARY KEY, line INTEGER, text TEXT);
CREATE TABLE documents (id TEXT PRIMARY KEY, line INTEGER, text TEXT);
"""


class Texts:
    """The texts of the ids that were wanted; those of a corpus that no run names are passed over."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(_TABLES)

    def want(self, table: Table, identifier: str, line: int) -> None:
        self._connection.execute(f"INSERT OR IGNORE INTO {table} VALUES (?, ?, NULL)", (identifier, line))

    def read(self, table: Table, path: Path, run: Path) -> None:
        """Takes the wanted texts from a file of `_id`, `text` and, for documents, `title`.

        Raises `InputError` with file and line for what is no such row, an id with two texts, and a wanted id
        that the file lacks (with the run's line).
        """
        for number, row in read_jsonl(path):
            identifier, text, title = json_id(row.get("_id")), row.get("text"), row.get("title") or ""
            if not (isinstance(identifier, str) and isinstance(text, str) and isinstance(title, str)):
                found = ", ".join(f"{name} ({type(value).__name__})" for name, value in row.items())
                raise InputError(
                    f'{path}:{number}: strings under "_id" and "text" (and "title") were expected; found '
                    f"{found or 'none'}"
                )
            whole = f"{title} {text}".strip() if table == "documents" else text
            whole = whole.encode("utf-8", "replace").decode("utf-8")  # SQLite takes no lone surrogate
            self._put(table, identifier.encode("utf-8", "replace").decode("utf-8"), whole, f"{path}:{number}")
        missing = self._connection.execute(
            f"SELECT line, id FROM {table} WHERE text IS NULL ORDER BY line LIMIT 1"
        ).fetchone()
        if missing:
            kind = "query" if table == "queries" else "document"
            raise InputError(f"{run}:{missing[0]}: {kind} {missing[1]!r} is not in {path}; is it the run's?")

    def _put(self, table: Table, identifier: str, text: str, at: str) -> None:
        done = self._connection.execute(
            f"UPDATE {table} SET text = ?1 WHERE id = ?2 AND (text IS NULL OR text = ?1)", (text, identifier)
        )
        if done.rowcount:
            checked_text(text, at)
        elif self._connection.execute(f"SELECT 1 FROM {table} WHERE id = ?", (identifier,)).fetchone():
            raise InputError(f"{at}: id {identifier!r} stands there a second time with another text")

    def get(self, table: Table, identifier: str) -> str:
        found: tuple[str] = self._connection.execute(
            f"SELECT text FROM {table} WHERE id = ?", (identifier,)
        ).fetchone()
        return found[0]


@contextmanager
def texts_on_disk(path: Path) -> Iterator[Texts]:
    """A new store in the file `path`, which is removed at the end; one that a kill left is replaced."""
    path.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            yield Texts(connection)
    finally:
        path.unlink(missing_ok=True)
