"""`crosstune serve --collection`: what the demo page's search answers, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from commands import main_in
from crosstune.collection_search import open_collection
from crosstune.errors import InputError
from crosstune.serve.http.logs import plain_lines_logged
from crosstune.serve.http.search import MOST_QUERY, MOST_SHOWN
from sealed import rewrite
from searched import HOSTILE, K1, LONG, expected, fused_export, write_searched
from served import Served, serving, tiny_export

PATH = "/demo/search"
QUERY = "open the file and read it"
KEY = "a-key-of-the-search-0123456789"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    write_searched(folder / "words")
    fused_export(folder / "fused")
    fused_export(folder / "foreign", k1=0.5)
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    """`fused` was made with the first stage that searches, `foreign` with another, `tiny` says nothing."""
    words = (folder / "fused", folder / "foreign", tiny_export(), "--collection", f"beir:{folder / 'words'}")
    with serving(*words) as running:
        yield running


@pytest.mark.parametrize(("model", "fused"), [(None, True), ("foreign", False), ("tiny", False)])
def test_the_order_is_the_helpers(served: Served, folder: Path, model: str | None, fused: bool) -> None:
    export = folder / (model or "fused") if model != "tiny" else tiny_export()
    ids, scores, hits = expected(folder / "words", export, QUERY, fused=fused)
    reply = served.post(PATH, {"query": QUERY, "model": model})
    assert reply.status == 200, reply.body
    answer, rows = reply.json, reply.json["results"]
    assert (answer["model"], answer["fused"], answer["judged"]) == (model or "fused", fused, None)
    assert len(rows) > 30
    assert [row["id"] for row in rows] == [ids[hit.index] for hit in hits]
    assert [row["index"] for row in rows] == [hit.index for hit in hits]
    assert [row["first_stage_score"] for row in rows] == [scores[hit.index] for hit in hits]
    assert [row["logit"] for row in rows] == pytest.approx([hit.logit for hit in hits], abs=1e-4)
    assert [row["relevance_score"] for row in rows] == pytest.approx([hit.shown for hit in hits], abs=1e-4)
    assert [row["text"] for row in rows] == [hit.document for hit in hits]
    stages = [part.split(";dur=")[0] for part in reply.headers["server-timing"].split(", ")]
    assert stages == ["search", "queue", "score"]


def test_fusion_and_model_alone_differ_here(folder: Path) -> None:
    """Or the test above would not tell them apart."""
    orders = [
        [hit.index for hit in expected(folder / "words", folder / "fused", QUERY, fused=fused)[2]]
        for fused in (True, False)
    ]
    assert orders[0] != orders[1]


def test_a_query_of_the_collection_comes_with_its_judgements(served: Served, folder: Path) -> None:
    queries = [json.loads(line) for line in (folder / "words" / "queries.jsonl").read_text().splitlines()]
    for row, split in ((queries[0], "train"), (queries[-1], "test")):
        answer = served.post(PATH, {"query": f"\t{row['text']}\n"}).json
        assert answer["judged"] == {"id": row["_id"], "split": split, "relevant": 1}
        grades = {result["id"]: result["grade"] for result in answer["results"]}
        assert grades.pop(row["_id"].replace("q", "d")) == 1
        assert set(grades.values()) == {None}


def test_what_the_page_is_told(served: Served, folder: Path) -> None:
    told = served.get("/info").json["search"]
    assert (told["collection"], told["passages"], told["first_stage"]) == ("words", 62, "BM25")
    assert (told["depth"], told["note"], told["path"]) == (100, None, PATH)
    tests = {line.split("\t")[0] for line in (folder / "words/qrels/test.tsv").read_text().splitlines()[1:]}
    rows = map(json.loads, (folder / "words" / "queries.jsonl").read_text().splitlines())
    texts = {row["text"] for row in rows if row["_id"] in tests}
    assert len(told["examples"]) == 5
    assert {example["query"] for example in told["examples"]} < texts
    assert {example["split"] for example in told["examples"]} == {"test"}


def test_queries_that_are_odd(served: Served) -> None:
    nothing = served.post(PATH, {"query": "walrus"})
    assert (nothing.status, nothing.json["results"], nothing.json["tokens"]) == (200, [], 0)
    for empty in ("", "  ", "\0\x1b\n"):
        refused = served.post(PATH, {"query": empty})
        assert (refused.status, refused.json["type"]) == (422, "empty")
    plain, pasted = (
        served.post(PATH, {"query": text}).json for text in ("open  file", "\x0copen\0 file\x7f")
    )
    assert plain["results"] and plain == pasted
    assert served.post(PATH, {"query": "file " * (MOST_QUERY // 5)}).status == 200
    long = served.post(PATH, {"query": "file " * MOST_QUERY})
    assert (long.status, long.json["type"]) == (422, "too_long")
    assert str(MOST_QUERY) in long.json["error"]
    assert served.post(PATH, {"query": "\ud800"}).status == 422
    assert served.post(PATH, {}).json["error"] == "query: Field required"
    assert served.post(PATH, {"query": "file", "model": "none"}).status == 404
    assert served.call("POST", PATH, b'{"query": "file"}', {"Content-Type": "text/plain"}).status == 415
    large = {"Content-Type": "application/json", "Content-Length": str(9 << 20)}
    assert served.call("POST", PATH, b"", large).status == 413
    assert served.get(PATH).status == 405


def test_a_long_passage_is_sent_in_part_and_read_whole(served: Served, folder: Path) -> None:
    (row,) = served.post(PATH, {"query": "okapi"}).json["results"]
    assert (row["id"], row["characters"]) == ("long", len(LONG["text"].strip()))
    assert row["text"] == LONG["text"][:MOST_SHOWN]
    _, _, (hit,) = expected(folder / "words", folder / "fused", "okapi", fused=True)
    assert row["logit"] == pytest.approx(hit.logit, abs=1e-4)


def test_the_log_has_the_stages_and_no_text(served: Served) -> None:
    served.post(PATH, {"query": "zebra file"})
    time.sleep(0.3)
    line = served.events("request")[-1]
    assert {"search_ms", "queue_ms", "score_ms", "tokens", "documents"} <= set(line)
    assert (line["route"], line["style"], line["status"]) == (PATH, "demo", 200)
    assert "zebra" not in json.dumps(served.log)


def test_without_a_collection_there_is_no_search(served: Served) -> None:
    assert PATH in served.get("/openapi.json").json["paths"]
    with serving(tiny_export()) as other:
        assert PATH not in other.get("/openapi.json").json["paths"]
        assert other.post(PATH, {"query": "file"}).status == 404
        assert other.get("/info").json["search"] is None


def test_in_production_it_is_refused(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("serve", tiny_export(), "--collection", f"beir:{folder / 'words'}", "--production")
    assert main_in(tmp_path, *words) == 2
    assert "error: --collection and --production" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere", "collection 'nowhere' is not known"),
        ("beir:nowhere", "nowhere: no such folder"),
        ("empty", "neither a run folder (.stages/ is missing) nor a BEIR folder (corpus.jsonl is missing)"),
        ("damaged", "corpus.jsonl:2: "),
        ("blank", "no passage with a text"),
        ("stopped", "stopped before its collection was there"),
    ],
)
def test_a_collection_that_cannot_be_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "stopped" / ".stages").mkdir(parents=True)
    for name, rows in (
        ("damaged", '{"_id": "a", "text": "file"}\n{"_id": \n'),
        ("blank", '{"_id": "a", "text": ""}'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "corpus.jsonl").write_text(rows)
    with pytest.raises(InputError) as refused:
        open_collection(where, {})
    assert str(refused.value).startswith(f"--collection {where}: ")
    assert message in str(refused.value)


def test_a_corpus_without_queries_is_searched(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(
        '{"_id": "a", "text": "open a file"}\n{"_id": "b", "text": "sort"}\n'
    )
    found = open_collection(str(tmp_path), {})
    assert (found.examples, found.note) == ([], None)
    assert [passage.doc_id for passage in found.search("file", 10).passages] == ["a"]


def test_what_is_converted_says_so_in_the_log_without_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = "ostrich heron falcon kiwi swan crane stork ibis egret raven magpie jay".split()  # noqa: SIM905
    rows = [{"query": f"which bird is the {name}", "positive": f"The {name} has wings."} for name in names]
    (tmp_path / "birds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with plain_lines_logged():
        found = open_collection(f"auto:{tmp_path / 'birds.jsonl'}", {})
    assert (found.name, found.passages, bool(found.examples)) == ("birds.jsonl", len(rows), True)
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {row["event"] for row in said} == {"note"}
    assert any(row["message"].startswith("reading ") for row in said)
    assert not any(name in row["message"] for row in said for name in names)


def test_a_run_folder_gives_collection_and_first_stage(folder: Path, tmp_path: Path) -> None:
    words = (
        "retrieve",
        "domain",
        f"collection=beir:{folder / 'words'}",
        f"first_stage.k1={K1}",
        "run_dir=run",
    )
    assert main_in(tmp_path, *words) == 0
    found = open_collection(str(tmp_path / "run"), {})
    assert (found.name, found.passages, found.note) == ("words", 62, None)
    assert found.is_first_stage_of({"first_stage": {"kind": "bm25", "k1": K1, "depth": 7}})
    assert not found.is_first_stage_of({"first_stage": {"kind": "bm25"}})
    assert not found.is_first_stage_of({})
    ids, scores, _ = expected(folder / "words", tiny_export(), QUERY, fused=False)
    passages = found.search(QUERY, 100).passages
    assert [(passage.doc_id, passage.score) for passage in passages] == list(zip(ids, scores, strict=True))


def test_a_first_stage_that_answers_no_new_query_is_stood_in_for(folder: Path) -> None:
    recipe = {"first_stage": {"kind": "trec", "path": "engine.run"}}
    found = open_collection(f"beir:{folder / 'words'}", recipe)
    assert found.note and "BM25 stands in" in found.note
    assert not found.is_first_stage_of(recipe), "the weight of other scores is not BM25's"
    assert found.search("file", 10).passages


def test_bm25_searches_without_torch(folder: Path) -> None:
    code = (
        "import sys; from crosstune.collection_search import open_collection; "
        f"open_collection('beir:{folder / 'words'}', {{}}).search('file', 10); "
        "print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["bm25s", "ruamel.yaml"])
def test_a_missing_extra_is_named(folder: Path, module: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None; from crosstune.cli import main; "
        f"main(['serve', {str(tiny_export())!r}, '--port', '0', '--collection', 'beir:{folder / 'words'}'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "serve --collection" in done.stderr
    assert "pip install 'crosstune[train]'" in done.stderr


@pytest.mark.slow
def test_a_new_model_reranks_the_next_search(folder: Path, tmp_path: Path) -> None:
    export = fused_export(tmp_path / "model")
    with serving(export, "--collection", f"beir:{folder / 'words'}") as served:
        rewrite(export, fusion={"weight": 50.0})
        served.wait_for("model replaced")
        rows = served.post(PATH, {"query": QUERY}).json["results"]
        hits = expected(folder / "words", export, QUERY, fused=True)[2]
        assert [row["index"] for row in rows] == [hit.index for hit in hits]


@pytest.mark.slow
def test_keys_limits_and_a_full_queue(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"page {KEY}\n")
    words = ("--keys", tmp_path / "keys", "--max-documents", 30, "--queue-seconds", 0.1, "--batch-tokens", 64)
    with serving(tiny_export(), "--collection", folder / "words", *words) as served:
        assert served.post(PATH, {"query": QUERY}).status == 401
        assert served.get("/info").status == 401

        def ask(_: int) -> tuple[int, int]:
            reply = served.post(PATH, {"query": QUERY}, Authorization=f"Bearer {KEY}")
            return reply.status, len(reply.json.get("results", [])) or int(reply.headers["retry-after"])

        assert ask(0) == (200, 30)
        with ThreadPoolExecutor(40) as pool:
            found = set(pool.map(ask, range(400)))
        assert {status for status, _ in found} == {200, 429}
        assert all(value >= 1 for _, value in found)
        assert ask(0) == (200, 30)


ENGINE = """
import time
class Moody:
    def __init__(self, passages, options):
        self.ids = list(passages)
    def search(self, queries, depth):
        if "boom" in queries["query"]:
            raise RuntimeError("cannot find " + queries["query"])
        time.sleep(3 if "slow" in queries["query"] else 0)
        return {"query": [(doc_id, 1.0) for doc_id in self.ids[:depth]]}
"""


@pytest.mark.slow
def test_a_first_stage_that_fails_or_sleeps(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "moody-1.0.dist-info"
    info.mkdir()
    (tmp_path / "moody.py").write_text(ENGINE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moody\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[crosstune.first_stages]\nmoody = moody:Moody\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    export = fused_export(tmp_path / "model", kind="plugin", name="moody")
    rewrite(export, recipe={"first_stage": {"kind": "plugin", "name": "moody"}})
    words = ("--collection", f"beir:{folder / 'words'}", "--timeout-seconds", 1)
    with serving(export, *words) as served:
        assert served.post(PATH, {"query": "fine"}).status == 200
        failed = served.post(PATH, {"query": "boom"})
        assert (failed.status, failed.json["type"]) == (500, "backend")
        assert "moody failed" in failed.json["error"]
        assert served.wait_for("the first stage failed")["error"] == "RuntimeError"
        late = served.post(PATH, {"query": "slow"})
        assert (late.status, late.json["type"]) == (503, "timeout")
        time.sleep(3)
        assert served.post(PATH, {"query": "fine"}).status == 200
        assert "boom" not in json.dumps(served.log)


def test_hostile_ids_and_texts_come_back_as_they_are(served: Served) -> None:
    (row,) = served.post(PATH, {"query": "zebra"}).json["results"]
    assert (row["id"], row["text"]) == (HOSTILE["_id"], f"{HOSTILE['title']} {HOSTILE['text']}")
