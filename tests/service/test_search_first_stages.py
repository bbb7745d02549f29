"""The demo page's search by first stages other than BM25: it finds what the runs of a recipe hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import TypeAdapter

import postgres
from calibrated import calibrated
from crosstune.collection_search import open_collection
from crosstune.data import FirstStageSettings, read_collection, retrieve
from crosstune.data.first_stages.encoder import Encoder
from crosstune.records import Collection, ranking
from crosstune.trec import read_run
from models import tiny_cross_encoder
from searched import write_searched
from served import serving

DEPTH = 10


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_searched(tmp_path_factory.mktemp("collection") / "words")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def server(words: Path, encoder: Path) -> Iterator[postgres.Server]:
    """Holds the collection's passages, and their vectors by `encoder`."""
    passages = read_collection(words).passages
    vectors = Encoder(str(encoder), None, None, None).encode(list(passages.values()), "document").vectors
    with postgres.running(postgres.with_pgvector()) as started:
        with psycopg.connect(started.connection) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute("CREATE TABLE passages (id text PRIMARY KEY, text text, embedding vector(32))")
            connection.cursor().executemany(
                "INSERT INTO passages VALUES (%s, %s, %s)",
                [(*row, str(vector)) for row, vector in zip(passages.items(), vectors.tolist(), strict=True)],
            )
        yield started


def _runs(
    collection: Collection, first_stage: dict[str, Any], out: Path
) -> dict[str, list[tuple[str, float]]]:
    """Query -> what `retrieve` writes for it, best first."""
    retrieve(collection, TypeAdapter(FirstStageSettings).validate_python(first_stage), out)
    run = read_run(out / "test.trec")
    return {
        query_id: [(doc_id, found[doc_id]) for doc_id in ranking(found)] for query_id, found in run.items()
    }


@pytest.mark.parametrize("kind", ["dense", "hybrid", "postgres"])
def test_it_finds_what_the_runs_hold(
    kind: str, words: Path, encoder: Path, server: postgres.Server, tmp_path: Path
) -> None:
    dense = {"kind": "dense", "model": str(encoder)}
    kinds: dict[str, dict[str, Any]] = {
        "dense": dense,
        "hybrid": {"kind": "hybrid", "of": [{"kind": "bm25"}, dense]},
        "postgres": dense | {"kind": "postgres", "connection": server.connection, "search": "vector"},
    }
    first_stage = kinds[kind] | {"depth": DEPTH}
    collection = read_collection(words)
    searched = open_collection(str(words), {"first_stage": first_stage})
    assert searched.note is None
    runs = _runs(collection, first_stage, tmp_path)
    assert len(runs) > 1
    for query_id, expected in runs.items():
        assert len(expected) == DEPTH
        found = searched.search(collection.queries[query_id], DEPTH).passages
        assert [passage.doc_id for passage in found] == [doc_id for doc_id, _ in expected]
        assert [passage.score for passage in found] == pytest.approx(
            [score for _, score in expected], abs=1e-5
        )


def test_postgres_restarts_under_the_page(words: Path, server: postgres.Server, tmp_path: Path) -> None:
    first_stage = {"kind": "postgres", "connection": server.connection}
    export = calibrated(tmp_path / "model", recipe={"first_stage": first_stage})
    query = {"query": next(iter(read_collection(words).queries.values()))}
    with serving(export, "--collection", words) as served:
        before = served.post("/demo/search", query)
        server.control("stop", "-m", "fast")
        server.control("start")
        after = served.post("/demo/search", query)
    assert before.status == 200, before.body
    assert len(before.json["results"]) > 0
    assert (after.status, after.json) == (200, before.json)
