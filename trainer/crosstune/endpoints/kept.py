"""Answers kept on disk by the content of what was asked: what is paid for once is not asked again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.full_disk import refuse_full_database

_SECONDS_FOR_A_LOCK = 60


def content_digest(*texts: str) -> bytes:
    """Of texts in their order, each with its length."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)}\n".encode() + data)
    return digest.digest()


class Kept:
    """Digest -> the fields of an answer, on disk before `keep` returns."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, fresh: bool) -> None:
        self._connection, self._path, self._fresh = connection, path, fresh
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID"
        )

    def find(self, key: bytes) -> dict[str, Any] | None:
        """Raises `InputError` for an entry that is no object."""
        if self._fresh:
            return None
        row = self._connection.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        try:
            found = json.loads(row[0])
        except (ValueError, TypeError):
            found = None
        if not isinstance(found, dict):
            raise self.damaged(key)
        return found

    def keep(self, key: bytes, answer: dict[str, Any]) -> None:
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(answer))
            )

    def damaged(self, key: bytes) -> InputError:
        """What to raise for an entry that cannot be used."""
        return InputError(
            f"{self._path}: the answer {key.hex()[:12]} is damaged; delete the file, or ask again "
            "with --fresh"
        )


@contextmanager
def kept_answers(path: Path, *, fresh: bool) -> Iterator[Kept]:
    """`fresh`: kept answers are not read, and replaced. Raises `InputError` for a file that is damaged, and
    `OSError` for a disk that is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=_SECONDS_FOR_A_LOCK)) as connection:
            yield Kept(connection, path, fresh=fresh)
    except sqlite3.Error as error:
        refuse_full_database(error, path)
        raise InputError(
            f"{path}: the answers kept there cannot be used ({error}); delete the file, and they are "
            "asked again"
        ) from None
