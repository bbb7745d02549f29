"""`engine: ray` with each kind of first stage that a worker can open, and with the model of a first round:
the bytes of a local run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from conftest import Crosstune, write_collection, write_recipe

import postgres
from crosstune.data import read_collection
from ray_cluster import two_nodes

pytestmark = pytest.mark.slow
RAY = ("engine=ray", "workers=2")
ENGINE = '''
class Overlap:
    """Passages by the words that they share with the query."""

    def __init__(self, passages, options):
        self.words = {doc_id: set(text.split()) for doc_id, text in passages.items()}

    def search(self, queries, depth):
        return {query_id: self.found(set(text.split()), depth) for query_id, text in queries.items()}

    def found(self, query, depth):
        shared = sorted((-len(query & words), doc_id) for doc_id, words in self.words.items())
        return [(doc_id, float(-count)) for count, doc_id in shared[:depth] if count]
'''


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster whose workers find the package `shared_words`, as does the command line."""
    site = tmp_path_factory.mktemp("site")
    info = site / "shared_words-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shared-words\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[crosstune.first_stages]\nshared = shared_words:Overlap\n")
    (site / "shared_words.py").write_text(ENGINE)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), before]))
    sys.path.insert(0, str(site))
    try:
        with two_nodes() as running:
            yield running
    finally:
        sys.path.remove(str(site))
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe over enough queries for several slices of each split."""
    folder = tmp_path_factory.mktemp("many")
    collection = write_collection(folder / "many", {"train": 450, "dev": 250, "test": 50}, 800)
    return write_recipe(folder, collection)


def _same(one: Path, other: Path) -> None:
    """But for what is measured, and for what was encoded anew: a cache of vectors is found full here."""
    texts = {p.name: p.read_bytes() for p in one.iterdir() if p.name != "retrieve.json"}
    assert texts == {p.name: p.read_bytes() for p in other.iterdir() if p.name != "retrieve.json"}
    assert {"train.trec", "dev.trec", "test.trec"} <= set(texts) and all(texts.values())
    summaries = [json.loads((folder / "retrieve.json").read_text()) for folder in (one, other)]
    for summary in summaries:
        del summary["milliseconds_per_query"]
        for notes in (summary["notes"], *summary["notes"].get("of", ())):
            notes.pop("passages_encoded_now", None)
    assert summaries[0] == summaries[1]


def _both(
    stage: str,
    words: tuple[object, ...],
    address: str,
    crosstune: Crosstune,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stage here and on the cluster, each in its own run folder."""
    done = crosstune(stage, *words, f"run_dir={folder / 'local'}")
    assert done.code == 0, done.err
    monkeypatch.setenv("RAY_ADDRESS", address)
    done = crosstune(stage, *words, *RAY, f"run_dir={folder / 'spread'}")
    assert done.code == 0, done.err
    assert "2 workers on 2 machines" in done.err


@pytest.mark.parametrize("kind", ["dense", "hybrid", "plugin"])
def test_candidates_have_the_bytes_of_a_local_run(
    kind: str,
    address: str,
    many: Path,
    crosstune: Crosstune,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = many.parent / "model"
    stages = {
        "dense": f"first_stage={{kind: dense, depth: 20, model: {model}}}",
        "hybrid": f"first_stage={{kind: hybrid, depth: 20, fusion: weighted, weights: [1, 2], "
        f"of: [{{kind: bm25}}, {{kind: dense, model: {model}}}]}}",
        "plugin": "first_stage={kind: plugin, depth: 20, name: shared}",
    }
    _both("retrieve", (many, stages[kind]), address, crosstune, tmp_path, monkeypatch)
    _same(tmp_path / "local" / "retrieve", tmp_path / "spread" / "retrieve")


def test_workers_ask_a_postgresql_server(
    address: str, many: Path, crosstune: Crosstune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.running(postgres.with_pgvector()) as server:
        with psycopg.connect(server.connection) as connection:
            connection.execute("CREATE TABLE passages (id text PRIMARY KEY, text text)")
            connection.cursor().executemany(
                "INSERT INTO passages VALUES (%s, %s)",
                list(read_collection(many.parent / "many").passages.items()),
            )
        words = (many, f"first_stage={{kind: postgres, depth: 20, connection: '{server.connection}'}}")
        _both("retrieve", words, address, crosstune, tmp_path, monkeypatch)
    _same(tmp_path / "local" / "retrieve", tmp_path / "spread" / "retrieve")


def test_the_second_round_is_mined_on_the_cluster(
    address: str, many: Path, crosstune: Crosstune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both runs go on from one first round, whose model's scores the workers compute."""
    first = tmp_path / "local"
    short = ("train.epochs=1", "train.evaluations=1", "train.dev_queries=20", "mine.max_groups=60")
    for stage in ("retrieve", "mine", "train"):
        done = crosstune(stage, many, *short, f"run_dir={first}")
        assert done.code == 0, done.err
    spread = tmp_path / "spread"
    shutil.copytree(first, spread)
    second = (*short, "mine.round=2", "mine.likely_negative=1", "mine.likely_positive=1")
    _both("mine", (many, *second), address, crosstune, tmp_path, monkeypatch)
    for name in ("ledger.parquet", "groups/data-00000-of-00001.arrow"):
        assert (first / "mine" / name).read_bytes() == (spread / "mine" / name).read_bytes()
    assert json.loads((spread / "mine" / "mining.json").read_text())["round"] == 2
