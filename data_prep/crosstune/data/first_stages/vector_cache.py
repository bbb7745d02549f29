"""The vectors of passages, kept by the content of encoder and text: a passage is encoded once."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crosstune.cache import cache_folder
from crosstune.data.first_stages.encoder import Encoder, Table
from crosstune.errors import InputError
from crosstune.full_disk import refuse_full_database
from crosstune.progress import progress

_TEXTS_AT_ONCE = 512
_KEYS_AT_ONCE = 500
_SECONDS_FOR_A_LOCK = 60


@dataclass(frozen=True)
class PassageVectors:
    """`vectors`: `[passages, dimension]`, fp32, not normalised; `cut`: passages longer than the encoder
    takes; `encoded`: texts that were not in the cache."""

    vectors: Table
    cut: int
    encoded: int


def passage_vectors(encoder: Encoder, texts: Sequence[str]) -> PassageVectors:
    """The vector of each text. What is encoded is kept at once, so a killed call goes on from there.

    Raises `InputError` for a cache file that is damaged, `OSError` for a full disk.
    """
    keys = [_key(encoder, text) for text in texts]
    text_of = dict(zip(keys, texts, strict=True))
    place = {key: number for number, key in enumerate(text_of)}
    rows = np.empty((len(place), encoder.dimension), dtype=np.float32)
    cut = np.zeros(len(place), dtype=bool)
    with _open(cache_folder("vectors") / f"{encoder.digest[:32]}.sqlite") as cache:
        known = set()
        for key, is_cut, vector in _rows(cache, list(place)):
            rows[place[key]], cut[place[key]] = _vector(vector, encoder, cache), is_cut
            known.add(key)
        missing = sorted((key for key in place if key not in known), key=lambda key: -len(text_of[key]))
        with progress("passages encoded", len(missing)) as advance:
            for start in range(0, len(missing), _TEXTS_AT_ONCE):
                part = missing[start : start + _TEXTS_AT_ONCE]
                made = encoder.encode([text_of[key] for key in part], "document")
                for key, vector, is_cut in zip(part, made.vectors, made.cut, strict=True):
                    rows[place[key]], cut[place[key]] = vector, is_cut
                _keep(cache, part, made.vectors, made.cut.tolist())
                advance(len(part))
    order = [place[key] for key in keys]
    return PassageVectors(rows[order], int(cut[order].sum()), len(missing))


def _key(encoder: Encoder, text: str) -> bytes:
    whole = f"{encoder.max_tokens}\0{encoder.prompt('document')}\0{text}"
    return hashlib.sha256(whole.encode()).digest()


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=_SECONDS_FOR_A_LOCK)) as cache:
            cache.execute("PRAGMA journal_mode = WAL")
            cache.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, cut INTEGER, vector BLOB) "
                "WITHOUT ROWID"
            )
            yield cache
    except sqlite3.Error as error:
        refuse_full_database(error, path)
        raise InputError(
            f"{path}: the cache of vectors cannot be used ({error}); delete the file, what it holds is "
            "encoded again"
        ) from None


def _rows(cache: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, int, bytes]]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        part = keys[start : start + _KEYS_AT_ONCE]
        marks = ",".join("?" * len(part))
        yield from cache.execute(f"SELECT key, cut, vector FROM vectors WHERE key IN ({marks})", part)


def _keep(cache: sqlite3.Connection, keys: Sequence[bytes], vectors: Table, cut: Sequence[bool]) -> None:
    with cache:
        cache.executemany(
            "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
            [(key, int(c), vector.tobytes()) for key, c, vector in zip(keys, cut, vectors, strict=True)],
        )


def _vector(data: bytes, encoder: Encoder, cache: sqlite3.Connection) -> Table:
    vector = np.frombuffer(data, dtype=np.float32) if len(data) % 4 == 0 else np.empty(0, np.float32)
    if len(vector) != encoder.dimension or not np.isfinite(vector).all():
        path = cache.execute("PRAGMA database_list").fetchone()[2]
        raise InputError(
            f"{path}: holds a vector of {len(vector)} numbers, or one that is not finite; model "
            f"{encoder.spec} makes {encoder.dimension}. The file is damaged: delete it, what it holds is "
            "encoded again"
        )
    return vector
