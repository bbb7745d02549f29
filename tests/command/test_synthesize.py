"""`crosstune synthesize` with a real endpoint process and a real, random seq2seq model. Nothing here says how
good queries are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Crosstune, write_collection

from chat_service import KEY, Chat, chat_service, completion
from commands import main_in
from crosstune.data import read_collection
from crosstune.label_sources import folder_sources
from crosstune.trec import read_qrels
from models import tiny_cross_encoder, tiny_seq2seq
from unruly import Reply, unruly

COST = ("--price-per-million-input-tokens", 2, "--price-per-million-output-tokens", 8)


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    monkeypatch.setenv("MY_KEY", KEY)
    with chat_service(tmp_path) as service:
        yield service


def _words(url: str, *more: object) -> list[object]:
    return ["synthesize", "collection", "--out", "more", "--endpoint", url, "--model", "m",
            "--api-key-env", "MY_KEY", *more]  # fmt: skip


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_queries_of_an_endpoint(tmp_path: Path, collection: Path, chat: Chat, crosstune: Crosstune) -> None:
    done = crosstune(*_words(chat.url, "--passages", 30, "--queries", 2, *COST, "--json"))
    assert done.code == 0, done.err
    told, out = json.loads(done.out), tmp_path / "more"
    assert len(chat.requests) == told["passages"]["answered"] == 30
    assert told["passages"]["relevant_in_dev_or_test"] == 18
    assert told["queries"]["written"] == 60 == sum(told["queries"].values()) - 60
    prompts = [request["messages"][0]["content"] for request in chat.requests]
    spent = sum(len(prompt.split()) for prompt in prompts)
    assert told["spent"]["input_tokens"] == spent
    assert told["spent"]["cost"] == pytest.approx((2 * spent + 8 * told["spent"]["output_tokens"]) / 1e6)

    # The examples are train queries of people, and no passage of dev or test is asked about.
    texts = {row["_id"]: row["text"] for row in _rows(collection / "queries.jsonl")}
    qrels = {split: read_qrels(collection / "qrels" / f"{split}.tsv") for split in ("train", "dev", "test")}
    shown = {json.loads(line[9:])[0] for prompt in prompts for line in prompt.splitlines()
             if line.startswith("Queries: ")}  # fmt: skip
    assert len(shown) == 3
    assert shown <= {texts[query_id] for query_id in qrels["train"]}

    # What people judged stands as it did; what is new is marked in both files.
    assert (out / "corpus.jsonl").read_bytes() == (collection / "corpus.jsonl").read_bytes()
    for split in ("dev", "test"):
        assert (out / "qrels" / f"{split}.tsv").read_bytes() == (
            collection / "qrels" / f"{split}.tsv"
        ).read_bytes()
    rows = _rows(out / "queries.jsonl")
    assert {row["_id"]: row["text"] for row in rows if row["source"] == "human"} == texts
    generated = {row["_id"] for row in rows if row["source"] == "generated"}
    train = read_qrels(out / "qrels" / "train.tsv")
    assert {q: judged for q, judged in train.items() if q not in generated} == qrels["train"]
    sources = folder_sources(out)
    assert {(row.query_id, row.doc_id) for row in sources} == {(q, d) for q in generated for d in train[q]}
    assert {(row.split, row.source, row.generator) for row in sources} == {("train", "generated", "m")}
    assert told["labels"]["train"] == {"human": 20, "generated": len(sources)}
    assert told["labels"]["dev"] == {"human": 8, "generated": 0}
    assert f"train: 20 judgements by people, {len(sources)} generated" in done.err
    record = _rows(out / "synthesis.jsonl")
    assert len(record) == 60
    assert all((row["rank"] or 99) <= 10 for row in record if row["reason"] is None)
    assert sum(row["reason"] is None for row in record) == told["queries"]["kept"]

    # The source survives a conversion, and whoever reads the collection is told.
    assert main_in(tmp_path, "convert", "more", "converted") == 0
    assert (tmp_path / "converted/sources.tsv").read_bytes() == (out / "sources.tsv").read_bytes()
    assert (tmp_path / "converted/queries.jsonl").read_text().count('"source": "generated"') == len(generated)
    counts = read_collection(tmp_path / "converted").counts
    assert counts == {"queries_generated": len(generated), "train_judgements_generated": len(sources)}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in written + (done.out + done.err).encode()


@pytest.mark.slow
def test_kill_9_resumes_without_asking_again(tmp_path: Path, collection: Path, crosstune: Crosstune,
                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("MY_KEY", KEY)
    words = ("--passages", 12, "--concurrency", 2, "--round-trip", 0, "--json")
    with chat_service(tmp_path, slow_from=8) as chat:
        process = subprocess.Popen(
            [sys.executable, "-m", "crosstune.cli", *map(str, _words(chat.url, *words))],
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        )
        while len(chat.requests) < 9 and process.poll() is None:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
        first = chat.requests
        port = chat.url
    assert not (tmp_path / "more").exists()
    assert len(first) == 9
    with chat_service(tmp_path, port=int(port.rsplit(":", 1)[1].removesuffix("/v1"))) as chat:
        done = crosstune(*_words(chat.url, *words))
        assert done.code == 0, done.err
        again = chat.requests[len(first) :]
    told = json.loads(done.out)["passages"]
    assert (told["answered"], told["kept"]) == (12, 7)
    assert len(again) == 5
    answered = [request["messages"] for request in first[:7]]
    assert not any(request["messages"] in answered for request in again), "what was answered is asked again"


def test_a_dry_run_asks_nothing(tmp_path: Path, collection: Path, chat: Chat, capsys: Any) -> None:
    words = _words(chat.url, "--passages", 10, *COST, "--max-output-tokens", 100, "--dry-run")
    assert main_in(tmp_path, *words) == 0
    said = capsys.readouterr()
    assert "Answer with JSON and nothing else: a list of 3 strings." in said.out
    assert "dry run: 10 requests to make, 0 answers kept; about " in said.err
    assert main_in(tmp_path, *words, "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["output_tokens"] == 1000
    assert plan["cost"] == pytest.approx((2 * plan["input_tokens"] + 8 * 1000) / 1e6)
    assert chat.requests == []
    assert not (tmp_path / "more").exists()
    assert main_in(tmp_path, *words[:-1], "--max-requests", 4, "--round-trip", 0) == 0
    sent = [request["messages"][0]["content"] for request in chat.requests]
    assert plan["prompt"] in sent
    capsys.readouterr()
    assert main_in(tmp_path, *words, "--json", "--overwrite") == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["requests"], again["kept"]) == (6, 4)


def test_a_limit_leaves_a_collection_of_what_was_paid(tmp_path: Path, collection: Path, chat: Chat) -> None:
    assert main_in(tmp_path, *_words(chat.url, "--max-requests", 10, "--round-trip", 0)) == 0
    about = json.loads((tmp_path / "more/collection.json").read_text())["synthesis"]
    assert (about["passages"]["answered"], about["passages"]["not_asked"]) == (10, 32)
    assert len(chat.requests) == 10
    assert "key" not in about["chat"]
    assert main_in(tmp_path, *_words(chat.url, "--max-requests", 15, "--overwrite")) == 0
    assert len(chat.requests) == 15


def test_a_corpus_alone(tmp_path: Path, chat: Chat) -> None:
    """No query and no label: shares of the generated ones make dev and test, when a user says so."""
    write_collection(tmp_path / "collection")
    for name in ("queries.jsonl", "qrels/train.tsv", "qrels/dev.tsv", "qrels/test.tsv"):
        (tmp_path / "collection" / name).unlink()
    words = _words(chat.url, "--examples", 0, "--dev", 0.1, "--test", 0.2, "--queries", 1)
    assert main_in(tmp_path, *words) == 0
    out = tmp_path / "more"
    splits = {split: read_qrels(out / "qrels" / f"{split}.tsv") for split in ("train", "dev", "test")}
    positives = {split: {d for judged in qrels.values() for d in judged} for split, qrels in splits.items()}
    assert all(positives.values())
    assert not positives["train"] & (positives["dev"] | positives["test"])
    counts = read_collection(out).counts
    assert counts["test_judgements_generated"] == sum(map(len, splits["test"].values()))


@pytest.mark.slow
def test_a_seq2seq_model_and_a_teacher(tmp_path: Path, collection: Path, capsys: Any) -> None:
    model, teacher = tiny_seq2seq(tmp_path / "t5"), tiny_cross_encoder(tmp_path / "teacher")
    words = ["synthesize", "collection", "--out", "more", "--seq2seq", model, "--passages", 12,
             "--query-tokens", 6, "--teacher", teacher, "--json", "--evaluation-passages"]  # fmt: skip
    assert main_in(tmp_path, *words, "--round-trip", 0, "--teacher-score", 0) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["generator"] == str(model)
    assert told["queries"]["kept"] == told["queries"]["written"] > 12
    scores = sorted(row["teacher_score"] for row in _rows(tmp_path / "more/synthesis.jsonl"))
    middle = scores[len(scores) // 2]
    assert main_in(tmp_path, *words, "--round-trip", 0, "--teacher-score", middle, "--overwrite") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passages"]["kept"] == 12
    assert told["queries"]["below_teacher"] == sum(score < middle for score in scores)
    assert told["queries"]["kept"] == sum(score >= middle for score in scores)


def test_what_no_query_came_from(tmp_path: Path, collection: Path, capsys: Any) -> None:
    """Answers that are no queries are counted; when all are, nothing is written and the answer is shown."""
    answers = {"no": "I would rather not.", "yes": '["open the file"]'}
    with unruly(
        lambda n, _: Reply(body=json.dumps(completion(answers["yes" if n % 2 else "no"])))
    ) as service:
        words = ["synthesize", "collection", "--out", "more", "--endpoint", service.url, "--model", "m",
                 "--passages", 8, "--round-trip", 0, "--json"]  # fmt: skip
        assert main_in(tmp_path, *words) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["passages"]["answered"], told["passages"]["no_query"]) == (8, 4)
        assert (tmp_path / "more/queries.jsonl").read_text().count('"generated"') == 1, "one text, one query"
        assert len(folder_sources(tmp_path / "more")) == 4
        service.answer = lambda *_: Reply(body=json.dumps(completion(answers["no"])))
        assert main_in(tmp_path, *words, "--out", "none", "--fresh") == 1
        said = capsys.readouterr().err
        assert "none of 8 answers holds queries; found 'I would rather not.'" in said
        assert not (tmp_path / "none").exists()


BAD = {
    "nobody": ([], "who writes the queries? --seq2seq MODEL, or --endpoint URL"),
    "both": (["--seq2seq", "collection", "--endpoint", "http://127.0.0.1:9"], "--endpoint: belongs to"),
    "no model": (["--endpoint", "http://127.0.0.1:9"], "a chat request names a model: --model NAME"),
    "no address": (["--endpoint", "here", "--model", "m"], "http:// or https:// and a host were expected"),
    "no key": (["--endpoint", "http://h", "--model", "m", "--api-key-env", "NO_KEY"], "NO_KEY: this env"),
    "no price": (["--endpoint", "http://h", "--model", "m", "--max-cost", "1"], "the prices are needed"),
    "a field": (["--endpoint", "http://h", "--model", "m", "--request-field", "a"], "NAME=JSON was expected"),
    "a key": (["train.epochs=2"], "train.epochs=2: first_stage.KEY=VALUE was expected"),
    "a run": (["first_stage.kind=trec", "first_stage.path=x", "--seq2seq", "t5"], "it answers the queries"),
    "a bert": (["--seq2seq", "teacher"], "--seq2seq: teacher is no seq2seq model"),
    "no teacher": (
        ["--seq2seq", "t5", "--teacher", "t5"],
        "--teacher: t5 has no ranking",
    ),
    "itself": (["--out", "collection", "--overwrite", "--seq2seq", "t5"], "is, or holds, the input"),
    "there": (["--out", "teacher", "--seq2seq", "t5"], "teacher: is there already"),
}


def test_bad_words(tmp_path: Path, collection: Path, capsys: Any) -> None:
    tiny_seq2seq(tmp_path / "t5")
    tiny_cross_encoder(tmp_path / "teacher")
    for name, (words, message) in BAD.items():
        out = [] if "--out" in words else ["--out", "more"]
        assert main_in(tmp_path, "synthesize", "collection", *out, *words) == 2, name
        assert message in capsys.readouterr().err, name
        assert not (tmp_path / "more").exists(), name
        assert not (tmp_path / "cache/labels").exists(), f"{name}: was said after the work"
    assert main_in(tmp_path, "synthesize", "t5", "--out", "more", "--seq2seq", "t5") == 2
    assert "t5: no corpus.jsonl; a BEIR folder was expected" in capsys.readouterr().err


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_and_loses_no_answer(
    tmp_path: Path, small_disk: Path, chat: Chat, crosstune: Crosstune
) -> None:
    write_collection(tmp_path / "collection", size=5000)
    words = ("--passages", 5, "--json")
    out = small_disk / "more"
    done = crosstune(*_words(chat.url, *words, "--out", out))
    assert done.code == 2
    assert "No space left on device" in done.err
    assert list(small_disk.iterdir()) == []
    assert len(chat.requests) == 5
    done = crosstune(*_words(chat.url, *words))
    assert json.loads(done.out)["passages"]["kept"] == 5
    assert len(chat.requests) == 5


def test_a_full_disk_under_the_kept_answers(
    tmp_path: Path,
    collection: Path,
    small_disk: Path,
    chat: Chat,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setenv("CROSSTUNE_CACHE", str(small_disk))
    (small_disk / "filler").write_bytes(b"x" * 270_000)
    assert main_in(tmp_path, *_words(chat.url, "--concurrency", 1)) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "more").exists()
