"""The collection that `crosstune serve --collection` searches from its demo page."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter, ValidationError

from crosstune.data import (
    Bm25Settings,
    FirstStageSettings,
    check_searchable,
    prepare_collection,
    read_collection,
)
from crosstune.data.first_stages.checks import Checker
from crosstune.data.first_stages.kinds import open_first_stage
from crosstune.errors import InputError
from crosstune.files import find_file
from crosstune.recipe import load_collection_recipe
from crosstune.records import SPLITS, Collection, Split, ranking
from crosstune.run import RunFolder
from crosstune.serve.http.search import plain
from crosstune.serve.http.searched import FoundPassage, JudgedQuery, SearchResult

DEPTH = 100
"""Passages reranked, at most: a person waits for them."""
EXAMPLES = 5
EXAMPLE_CHARACTERS = 120
"""Longer queries make no button; they are shown where there are no shorter ones."""
NAMES = {"bm25": "BM25", "dense": "Dense vectors", "hybrid": "Hybrid search", "postgres": "PostgreSQL"}
_FIRST_STAGE: TypeAdapter[Any] = TypeAdapter(FirstStageSettings)


class SearchedCollection:
    """A `crosstune.serve.http.searched.Searched`, held in memory."""

    def __init__(self, name: str, collection: Collection, settings: Any, note: str | None, seed: int) -> None:
        """Opens the first stage, whose index is built once and kept in the cache. Raises `InputError`, and
        `MissingExtra` for the packages of its kind."""
        self._collection = collection
        self._settings = settings
        self._engine = open_first_stage(collection, settings)
        self._judged = {query_id: split for split in SPLITS for query_id in collection.qrels.get(split, ())}
        self._by_text = {plain(collection.queries[query_id]): query_id for query_id in self._judged}
        self.name = name
        self.passages = len(collection.passages)
        self.first_stage = NAMES.get(settings.kind) or str(getattr(settings, "name", settings.kind))
        self.depth = min(settings.depth, DEPTH)
        self.mean_characters = sum(map(len, collection.passages.values())) / self.passages
        self.note = note
        self.examples = _examples(collection, seed)

    def search(self, query: str, depth: int) -> SearchResult:
        started = time.perf_counter()
        found = self._engine.search({"query": query}, depth)
        scores = Checker(self._collection, depth, f"first stage {self.first_stage}").check(
            found, {"query": query}
        )["query"]
        seconds = time.perf_counter() - started
        judged, grades = self._judgements(query)
        passages = [
            FoundPassage(doc_id, self._collection.passages[doc_id], scores[doc_id], grades.get(doc_id))
            for doc_id in ranking(scores)
        ]
        return SearchResult(passages, seconds, judged)

    def is_first_stage_of(self, recipe: Mapping[str, Any]) -> bool:
        settings = _searchable(recipe.get("first_stage"))
        return settings is not None and _decides(settings) == _decides(self._settings)

    def _judgements(self, query: str) -> tuple[JudgedQuery | None, Mapping[str, int]]:
        query_id = self._by_text.get(query)
        if query_id is None:
            return None, {}
        split = self._judged[query_id]
        grades = self._collection.qrels[split][query_id]
        return JudgedQuery(query_id, split, sum(grade > 0 for grade in grades.values())), grades


def open_collection(where: str, recipe: Mapping[str, Any]) -> SearchedCollection:
    """`where`: a run folder, whose own collection and first stage are taken; or a BEIR folder or a collection
    as recipes name it, searched by the first stage of `recipe`, that of the export, whose seed divides what
    has no splits.

    A first stage that answers no new query is stood in for by BM25, with a note. Raises `InputError` for what
    is none of these or cannot be read.
    """
    seed = recipe.get("seed")
    seed = seed if isinstance(seed, int) else 13
    path = Path(where).expanduser()
    try:
        if (path / ".stages").is_dir():
            collection, recipe = _of_run(RunFolder(path))
            where = str(recipe["collection"])
        else:
            collection = _read(where, path, seed)
    except InputError as error:
        raise InputError(f"--collection {where}: {error}") from None
    if not any(text.strip() for text in collection.passages.values()):
        raise InputError(f"--collection {where}: holds no passage with a text, so there is nothing to search")
    first_stage = recipe.get("first_stage")
    settings = _searchable(first_stage)
    note = None
    if settings is None:
        settings = Bm25Settings()
        note = (
            "BM25 stands in for the run's own first stage, which cannot be asked about a new query."
            if first_stage
            else None
        )
    return SearchedCollection(_name(where), collection, settings, note, seed)


def _name(where: str) -> str:
    """Short, for a title: the last part of a path."""
    kind, _, place = where.partition(":")
    return where if kind == "stdlib" else Path((place or where).partition("?")[0]).resolve().name


def _of_run(folder: RunFolder) -> tuple[Collection, Mapping[str, Any]]:
    """The run's collection and recipe."""
    if not folder.source.is_file() or not folder.recipe.is_file():
        raise InputError("this run was stopped before its collection was there; start it again")
    recipe = load_collection_recipe(str(folder.recipe))
    return read_collection(folder.collection_folder(), judged=False), recipe.model_dump()


def _read(where: str, path: Path, seed: int) -> Collection:
    if path.is_dir():
        if not find_file(path / "corpus.jsonl").is_file():
            raise InputError(
                "is a folder, and neither a run folder (.stages/ is missing) nor a BEIR folder (corpus.jsonl "
                "is missing); name another form as KIND:PATH, as crosstune convert reads it"
            )
        return read_collection(path, judged=False)
    with TemporaryDirectory(prefix="crosstune-") as scratch:  # all of it is read into memory
        folder = prepare_collection(
            where, Path(scratch) / "collection", seed, show_texts=False, to_train=False
        )
        return read_collection(folder, judged=False)


def _searchable(first_stage: Mapping[str, Any] | None) -> Any:
    """The settings of a first stage that can be asked; `None` for a TREC run, for what another version of
    crosstune wrote, and where there is none."""
    try:
        settings = _FIRST_STAGE.validate_python(first_stage)
        check_searchable(settings)
    except (ValidationError, InputError):
        return None
    return settings


def _decides(settings: Any) -> dict[str, Any]:
    """What its scores depend on."""
    found: dict[str, Any] = settings.model_dump(exclude={"depth"})
    return found


def _examples(collection: Collection, seed: int) -> list[tuple[str, str]]:
    """Drawn, over chosen by what the model does with them: of test, or of dev where there is no test."""
    splits: Iterable[Split] = ("test", "dev")
    for split in splits:
        asked = sorted(
            {
                plain(collection.queries[query_id])
                for query_id, judged in collection.qrels.get(split, {}).items()
                if max(judged.values(), default=0) > 0
            }
            - {""}
        )
        if asked:
            shorter = [query for query in asked if len(query) <= EXAMPLE_CHARACTERS] or asked
            drawn = random.Random(seed).sample(shorter, min(EXAMPLES, len(shorter)))
            return [(query, split) for query in drawn]
    return []
