"""Answers kept on disk by the content of what was asked: what is paid for once is not asked again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from crosstune.errors import InputError

_SECONDS_FOR_A_LOCK = 60


@dataclass(frozen=True)
class Answer:
    """One request's answer: `scores` in the order of the documents; `milliseconds` of the attempt that was
    answered; `failures`: attempts before it; `tokens` and `units` as billed; `kept`: from an earlier call."""

    scores: tuple[float, ...]
    milliseconds: float
    failures: int = 0
    tokens: int | None = None
    units: int | None = None
    kept: bool = False


def request_key(url: str, style: str, model: str | None, query: str, texts: Sequence[str]) -> bytes:
    """A digest of all that decides an answer. No key of an API is part of it."""
    digest = hashlib.sha256()
    for text in (url, style, model or "", query, *texts):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)}\n".encode() + data)
    return digest.digest()


class AnswerStore:
    """Digest -> answer. Texts and API keys are not in the file."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, fresh: bool) -> None:
        self._connection, self._path, self._fresh = connection, path, fresh
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID"
        )

    def find(self, key: bytes, count: int) -> Answer | None:
        """Raises `InputError` for an entry that is not one score for each of `count` documents."""
        if self._fresh:
            return None
        row = self._connection.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        try:
            answer = Answer(**json.loads(row[0]))
            scores = tuple(map(float, answer.scores))
        except (ValueError, TypeError):
            scores = ()
        if len(scores) != count:
            raise InputError(
                f"{self._path}: the answer {key.hex()[:12]} is damaged; delete the file, or ask again "
                "with --fresh"
            )
        return replace(answer, scores=scores, kept=True)

    def keep(self, key: bytes, answer: Answer) -> None:
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(asdict(answer)))
            )


@contextmanager
def answer_store(path: Path, *, fresh: bool) -> Iterator[AnswerStore]:
    """`fresh`: kept answers are not read, and replaced. Raises `InputError` for a file that is damaged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=_SECONDS_FOR_A_LOCK)) as connection:
            yield AnswerStore(connection, path, fresh=fresh)
    except sqlite3.Error as error:
        raise InputError(
            f"{path}: the answers kept there cannot be used ({error}); delete the file, and they are "
            "asked again"
        ) from None
