"""`crosstune evaluate --endpoint` against our own service: all six formats, the table, runs, the store."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Crosstune, write_collection

from crosstune.evaluate.measures import in_order
from crosstune.records import ranking
from crosstune.serve import Reranker
from crosstune.trec import read_qrels, read_run
from served import Served, serving, tiny_export
from unruly import Reply, results, rows, unruly

STYLES = ("cohere", "jina", "voyage", "tei", "infinity", "vllm")
KEY = "a-key-of-sixteen-characters"
CANDIDATES = 40


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(f"tests {KEY}\n")
    with serving(tiny_export(), "--keys", keys, "--max-documents", 35) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection, a first stage's run over its test queries in no good order, and a cache of its own."""
    monkeypatch.setenv("CROSSTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RERANK_KEY", KEY)
    write_collection(tmp_path / "collection")
    lines = []
    for query_id in read_qrels(tmp_path / "collection/qrels/test.tsv"):
        positive = int(query_id[1:])
        docs = [f"d{(positive + 17 * place + 5) % 60}" for place in range(CANDIDATES)]
        docs[7 + positive % 5] = f"d{positive}"
        docs = list(dict.fromkeys(docs))
        lines += [f"{query_id} Q0 {doc} {rank} {100 - rank} t" for rank, doc in enumerate(docs, 1)]
    lines.append("q0 Q0 d0 1 1.0 t")  # a train query: not judged here, so nobody is asked
    (tmp_path / "first.trec").write_text("\n".join(lines) + "\n")
    return tmp_path


def _texts(files: Path, name: str) -> dict[str, str]:
    lines = (files / "collection" / name).read_text().splitlines()
    return {row["_id"]: row["text"] for row in map(json.loads, lines)}


def _words(url: str, style: str, *more: object) -> list[object]:
    return [
        "evaluate",
        "first.trec",
        "--collection",
        "beir:collection",
        "--endpoint",
        url,
        "--style",
        style,
        *more,
    ]


def test_all_formats_rank_as_the_helper_does(served: Served, files: Path, crosstune: Crosstune) -> None:
    words: list[object] = ["evaluate", "first.trec", "--collection", "beir:collection"]
    for style in STYLES:
        words += ["--endpoint", f"{style}={served.url}/{style}", "--style", style, "--model",
                  "" if style == "tei" else "tiny"]  # fmt: skip
    done = crosstune(*words, "--api-key-env", "RERANK_KEY", "--documents-per-request", 30, "--write-run",
                     "runs", "--depth", 20, "--json")  # fmt: skip
    assert done.code == 0, done.err
    metrics = json.loads(done.out)
    assert list(metrics["splits"]["test"]) == ["first_stage", *STYLES, "ceiling"]
    first, qrels = read_run(files / "first.trec"), read_qrels(files / "collection/qrels/test.tsv")
    queries, corpus = _texts(files, "queries.jsonl"), _texts(files, "corpus.jsonl")
    reranker = Reranker(tiny_export())
    for query_id in qrels:
        candidates = in_order(first[query_id])
        head, rest = candidates[:20], candidates[20:]
        hits = reranker.rank(queries[query_id], [corpus[doc] for doc in head])
        expected = [head[hit.index] for hit in hits] + rest
        assert expected[:20] != head
        for style in STYLES:
            assert ranking(read_run(files / "runs" / f"{style}.trec")[query_id]) == expected, (
                style,
                query_id,
            )
    for style in STYLES:
        assert metrics["splits"]["test"][style] == metrics["splits"]["test"]["cohere"]
        figures = metrics["rerankers"][style]
        assert (figures["requests"], figures["kept"], figures["failed"]) == (len(qrels), 0, 0)
        assert 0 < figures["p50_ms"] <= figures["p95_ms"]
    assert KEY not in done.out + done.err


def test_the_table_prices_and_what_compare_makes_of_the_run(
    served: Served, files: Path, crosstune: Crosstune
) -> None:
    words = _words(f"{served.url}/cohere", "cohere", "--model", "tiny", "--api-key-env", "RERANK_KEY", "-m",
                   "nDCG@10", "-m", "RR@10", "--price-per-1000", 2, "--documents-per-request", 30,
                   "--write-run", "run.trec", "--out", "result")  # fmt: skip
    done = crosstune(*words)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("10 judged queries, 0 without a positive; the first 100 candidates reranked")
    head = (
        "nDCG@10  RR@10  95 % interval of nDCG@10  p50 ms  p95 ms  requests  failed  price  of 1000 queries"
    )
    assert lines[2].strip() == head
    assert [line.split("  ")[0] for line in lines[3:]] == ["first stage", "cohere tiny", "ceiling"]
    assert lines[4].split()[-4:] == ["20", "0", "0.04", "4"]  # 2 requests of one search unit a query
    assert "1 of its queries are not in the qrels and are left out" in done.err
    compared = crosstune(
        "compare", "first.trec", "run.trec", "--qrels", "collection/qrels/test.tsv", "--json"
    )
    assert compared.code == 0, compared.err
    again = crosstune("evaluate", "result", "--qrels", "collection/qrels/test.tsv", "-m", "nDCG@10", "--json")
    value = json.loads(again.out)["splits"]["run"]["cohere tiny"]["nDCG@10"]
    assert f"{value:.3f}" == lines[4].split()[2]


def test_tei_says_how_many_documents_it_takes(served: Served, files: Path, crosstune: Crosstune) -> None:
    done = crosstune(*_words(f"{served.url}/tei", "tei", "--api-key-env", "RERANK_KEY",
                             "--documents-per-request", 39, "--json"))  # fmt: skip
    assert done.code == 0, done.err
    figures = json.loads(done.out)["rerankers"]
    (name,) = figures
    assert name.startswith("tei 127.0.0.1:")
    assert f"{name}: takes fewer documents than 39 a request; 19 were sent" in done.err
    assert figures[name]["requests"] == 30


def test_only_what_is_new_is_asked_again(files: Path, crosstune: Crosstune) -> None:
    def until_the_fifth(number: int, request: dict[str, Any]) -> Reply:
        return Reply(500, "down") if number > 5 else results(rows(request), usage={"total_tokens": 50})

    with unruly(until_the_fifth) as service:
        words = _words(service.url, "jina", "--model", "m", "--api-key-env", "RERANK_KEY", "--attempts", 1,
                       "--concurrency", 1, "--price-per-million-tokens", 100)  # fmt: skip
        stopped = crosstune(*words)
        assert stopped.code == 1
        assert f"{service.url}: query 'q33': found status 500 (down), 1 times in a row" in stopped.err
        assert "the same command goes on from there" in stopped.err
        service.answer = lambda number, request: results(rows(request), usage={"total_tokens": 50})
        before = len(service.asked)
        done = crosstune(*words, "--json")
        assert done.code == 0, done.err
        assert len(service.asked) - before == 5
        (figures,) = json.loads(done.out)["rerankers"].values()
        assert (figures["requests"], figures["kept"], figures["tokens"]) == (10, 5, 500)
        assert figures["price"] == pytest.approx(0.05)
        assert "5 of 10 answers are from earlier calls" in done.err
        assert crosstune(*words, "--fresh").code == 0
        assert len(service.asked) - before == 15
        assert set(service.logins) == {f"Bearer {KEY}"}
    kept = b"".join(path.read_bytes() for path in (files / "cache").rglob("*") if path.is_file())
    assert len(kept) > 1000
    assert KEY.encode() not in kept + (stopped.err + done.err + done.out).encode()


def test_ctrl_c_keeps_what_was_answered(files: Path, crosstune: Crosstune) -> None:
    def slow(number: int, request: dict[str, Any]) -> Reply:
        return Reply(body=results(rows(request)).body, wait=0.0 if number < 4 else 30.0)

    with unruly(slow) as service:
        words = _words(service.url, "infinity", "--concurrency", 2, "--json")
        process = subprocess.Popen(
            [sys.executable, "-m", "crosstune.cli", *map(str, words)],
            cwd=files,
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(service.asked) < 5 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=25)
        assert process.returncode == 130, said
        assert "stopped; the same command goes on from here" in said
        service.answer = lambda number, request: results(rows(request))
        done = crosstune(*words)
        assert done.code == 0, done.err
        (figures,) = json.loads(done.out)["rerankers"].values()
        assert (figures["requests"], figures["kept"]) == (10, 3)


def test_attempts_wait_as_long_as_they_are_told(files: Path, crosstune: Crosstune) -> None:
    def busy(number: int, request: dict[str, Any]) -> Reply:
        if number == 1:
            return Reply(429, '{"message": "slow down"}', headers={"Retry-After": "1"})
        if number == 2:
            return Reply(503, "starting", "text/plain")
        return results(rows(request)) if number != 3 else Reply(body=json.dumps({"results": []}), cut=True)

    with unruly(busy) as service:
        done = crosstune(*_words(service.url, "vllm", "--concurrency", 1, "--json"))
        assert done.code == 0, done.err
        assert len(service.asked) == 13
    (figures,) = json.loads(done.out)["rerankers"].values()
    assert (figures["requests"], figures["failed"]) == (10, 3)
    with unruly(lambda *_: Reply(429, "", headers={"Retry-After": "7200"})) as service:
        refused = crosstune(*_words(service.url, "vllm", "--concurrency", 1))
        assert refused.code == 1
        assert "found status 429, which asks to wait 7200 s" in refused.err
        assert len(service.asked) == 1


def test_a_good_service_finds_the_positives(files: Path, crosstune: Crosstune) -> None:
    """Results come back in the order of their scores: mapped by index, they put the positive first."""
    words = ("-m", "RR@10", "--requests-per-minute", 6000, "--write-run", "run.trec", "--json")
    with unruly() as service:
        done = crosstune(*_words(service.url, "infinity", *words))
    assert done.code == 0, done.err
    systems = json.loads(done.out)["splits"]["test"]
    (name,) = systems.keys() - {"first_stage", "ceiling"}
    assert systems["first_stage"]["RR@10"] < 0.2
    assert systems[name]["RR@10"] > 0.5
    queries, corpus = _texts(files, "queries.jsonl"), _texts(files, "corpus.jsonl")
    for query_id, scores in read_run(files / "run.trec").items():
        shared = [len(set(queries[query_id].split()) & set(corpus[doc].split())) for doc in ranking(scores)]
        assert shared == sorted(shared, reverse=True)
        assert shared[0] == len(set(queries[query_id].split())) - 1  # all but its number
