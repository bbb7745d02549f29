"""A cross-encoder as the teacher of mining: it scores candidates, and remembers what it scored."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import read_json, sha256_file
from crosstune.full_disk import refuse_full_database
from crosstune.models import has_ranking_head, resolve_model
from crosstune.serve.pairs import LengthRule

Pairs = Sequence[tuple[str, str]]
_SECONDS_FOR_A_LOCK = 60
"""Several workers of a machine write into one database."""


def resolve_teacher(spec: str, key: str = "mine.teacher") -> Path:
    """The folder of the model that `key` names. Raises `InputError` when there is none, or when it
    has no trained ranking head: its scores would be noise."""
    try:
        folder = resolve_model(spec)
    except InputError as error:
        raise InputError(f"{key}: {error}") from None
    if not has_ranking_head(folder):
        architectures = read_json(folder / "config.json").get("architectures") or []
        raise InputError(
            f"{key}: {spec} has no ranking head (config.json: architectures is {architectures}); name "
            "a trained cross-encoder, for example train/model of a run"
        )
    return folder


@contextmanager
def mining_teacher(
    spec: str, rule: LengthRule, seed: int, cache: Path
) -> Iterator[Callable[[Pairs], list[float]]]:
    """Yields a function from `(query, passage)` pairs to fp32 logits.

    Scores lie in a database in the folder `cache`, by the hash of model, length rule and texts, so that
    mining goes on after a kill and with other thresholds without asking the model twice.
    """
    from crosstune.serve.pairs import PairEncoder
    from crosstune.train.model import load_scorer
    from crosstune.train.scoring import score_pairs

    folder = resolve_teacher(spec)
    model = load_scorer(folder, rule, seed)
    encoder = PairEncoder.from_folder(folder, rule)
    with _store(cache / f"teacher-{_digest(folder, rule)[:16]}.sqlite") as store:

        def score(pairs: Pairs) -> list[float]:
            keys = [_key(pair) for pair in pairs]
            known = store.find(keys)
            missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in known}
            if missing:
                logits = score_pairs(model, encoder, list(missing.values()))
                fresh = dict(zip(missing, logits, strict=True))
                store.add(fresh)
                known |= fresh
            return [known[key] for key in keys]

        yield score


class _Store:
    """Key -> logit, on disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS score (key BLOB PRIMARY KEY, logit REAL) WITHOUT ROWID"
        )

    def find(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        found: dict[bytes, float] = {}
        for key in keys:
            for (logit,) in self._connection.execute("SELECT logit FROM score WHERE key = ?", (key,)):
                found[key] = logit
        return found

    def add(self, scores: dict[bytes, float]) -> None:
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO score VALUES (?, ?)", scores.items())


@contextmanager
def _store(path: Path) -> Iterator[_Store]:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_SECONDS_FOR_A_LOCK)
    try:
        yield _Store(connection)
    except sqlite3.DatabaseError as error:
        refuse_full_database(error, path)
        raise InputError(
            f"{path}: the scores kept there cannot be used ({error}); delete the file"
        ) from error
    finally:
        connection.close()


def _digest(folder: Path, rule: LengthRule) -> str:
    files = [f"{path.name} {sha256_file(path)}" for path in sorted(folder.glob("*.*")) if path.is_file()]
    return hashlib.sha256(f"{files} {rule}".encode()).hexdigest()


def _key(pair: tuple[str, str]) -> bytes:
    query, passage = (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in pair)
    return hashlib.sha256(query + passage).digest()
