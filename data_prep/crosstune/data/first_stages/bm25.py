"""BM25, by bm25s: the index is saved, and searched memory-mapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.cache import cached_folder, content_key
from crosstune.data.first_stages import tokens
from crosstune.data.first_stages.without_jax import bm25s
from crosstune.errors import InputError
from crosstune.files import sha256_file
from crosstune.records import Collection

if TYPE_CHECKING:
    from crosstune.data.first_stages.protocol import Found
    from crosstune.data.first_stages.settings import Bm25Settings


class Bm25:
    """A passage that shares no token with the query is no result."""

    def __init__(self, collection: Collection, settings: Bm25Settings, model: Any = None) -> None:
        """Opens the saved index of these passages and settings, or builds and saves it; or searches
        `model`. Raises `InputError` when no passage holds a token."""
        self._settings = settings
        self._ids = list(collection.passages)
        self._model = open_saved(collection, settings) if model is None else model

    def search(self, queries: Mapping[str, str], depth: int) -> Found:
        found: dict[str, list[tuple[str, float]]] = {}
        words = dict(zip(queries, tokens.tokenize(list(queries.values()), self._settings), strict=True))
        asked = [query_id for query_id in queries if words[query_id]]
        if not asked:
            return found
        places, scores = self._model.retrieve(
            [words[query_id] for query_id in asked],
            k=min(depth, len(self._ids)),
            show_progress=False,
            backend_selection="numpy",
        )
        for query_id, row, values in zip(asked, places, scores, strict=True):
            found[query_id] = [
                (self._ids[place], float(value))
                for place, value in zip(row, values, strict=True)
                if value > 0
            ]
        return found

    def notes(self) -> dict[str, object]:
        return {}


def open_saved(collection: Collection, settings: Bm25Settings) -> Any:
    """The memory-mapped index; built when these passages were not yet indexed with these settings."""
    texts = list(collection.passages.values())
    decides = settings.model_dump(include={"k1", "b", "language", "tokens"})
    code = [sha256_file(Path(file)) for file in (__file__, tokens.__file__)]

    def save(folder: Path) -> None:
        build(tokenized(collection, settings), settings.k1, settings.b).save(folder, show_progress=False)

    folder = cached_folder("bm25", content_key(texts, decides, code, bm25s().__version__), save)
    return bm25s().BM25.load(folder, mmap=True, load_corpus=False, show_progress=False)


def tokenized(collection: Collection, settings: Bm25Settings) -> list[list[str]]:
    """The tokens of each passage. Raises `InputError` when there is none at all."""
    found = tokens.tokenize(list(collection.passages.values()), settings)
    if not any(found):
        raise InputError(
            f"{collection.name}: no passage holds a token to index "
            f"(first_stage.tokens = {settings.tokens}, first_stage.language = {settings.language})"
        )
    return found


def build(passages: Sequence[Sequence[str]], k1: float, b: float) -> Any:
    """The index over tokens, in memory."""
    model = bm25s().BM25(method="lucene", k1=k1, b=b)
    model.index(passages, show_progress=False)
    return model
