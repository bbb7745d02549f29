"""`crosstune label` with a real endpoint process and a real, random cross-encoder. Nothing here says how good
grades are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Crosstune, write_collection

from chat_service import KEY, Chat, chat_service, completion, said
from commands import main_in
from crosstune.data import read_answers, read_collection
from crosstune.label_sources import folder_sources
from crosstune.trec import read_qrels
from models import tiny_cross_encoder
from unruly import Reply, unruly


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    monkeypatch.setenv("MY_KEY", KEY)
    with chat_service(tmp_path) as service:
        yield service


def _words(url: str, *more: object) -> list[object]:
    return ["label", "collection", "--endpoint", url, "--model", "m", "--api-key-env", "MY_KEY", "--json",
            *more]  # fmt: skip


def _texts(path: Path) -> dict[str, str]:
    return {row["_id"]: row["text"] for row in map(json.loads, path.read_text().splitlines())}


def test_grades_of_an_endpoint(tmp_path: Path, collection: Path, chat: Chat, capsys: Any) -> None:
    given = ("--out", "labelled", "--depth", 4, "--assume-unjudged", "--examples", 2)
    assert main_in(tmp_path, *_words(chat.url, *given)) == 0
    done, out = capsys.readouterr(), tmp_path / "labelled"
    told = json.loads(done.out)
    measured = told["agreement"]
    assert (measured["pairs"], measured["assumed"]) == (72, 36), "38 judged pairs without the 2 examples"
    assert sum(measured["counts"].values()) == 72
    low, high = measured["interval"]
    assert low < measured["kappa"] < high
    # The service's rule, over the very pairs that it was asked about.
    assert measured["counts"]["1/1"] == 36, "each query has three of its words from its positive"
    assert done.err.index("Cohen's kappa") < done.err.index("to grade"), "the agreement comes first"

    queries, corpus = _texts(collection / "queries.jsonl"), _texts(collection / "corpus.jsonl")
    before = read_qrels(collection / "qrels/train.tsv")
    sources = folder_sources(out)
    new = {(row.query_id, row.doc_id) for row in sources}
    after = read_qrels(out / "qrels/train.tsv")
    assert {(q, d) for q, judged in after.items() for d in judged} == new | {
        (q, d) for q, judged in before.items() for d in judged
    }
    for query_id, doc_id in new:
        words = queries[query_id].split()
        shared = set(words) & set(corpus[doc_id].split())
        assert after[query_id][doc_id] == int(2 * len(shared) >= len(words))
    assert {row.generator for row in sources} == {"m"}
    assert told["labels"]["train"] == {"human": 20, "generated": len(new)}
    assert told["pairs"]["graded"] == len(new) == told["pairs"]["candidates"] - told["pairs"]["judged"]
    for split in ("dev", "test"):
        name = f"qrels/{split}.tsv"
        assert (out / name).read_bytes() == (collection / name).read_bytes()
    answers = read_answers(out / "labels.jsonl").by_pair
    assert {pair: answer.verdict == "relevant" for pair, answer in answers.items()} == {
        (q, d): after[q][d] == 1 for q, d in new
    }
    assert read_collection(out).counts["train_judgements_generated"] == len(new)
    prompts = [request["messages"][0]["content"] for request in chat.requests]
    assert len(set(prompts)) == len(prompts) == told["spent"]["requests"], "no pair is asked about twice"
    assert main_in(tmp_path, *_words(chat.url, *given, "--out", "again")) == 0
    assert json.loads(capsys.readouterr().out)["grades"] == told["grades"]
    assert len(chat.requests) == len(prompts), "all of it was kept"
    assert KEY not in done.err + done.out


def test_a_run_file_and_a_limit(tmp_path: Path, collection: Path, chat: Chat, capsys: Any) -> None:
    lines = [f"q{n} Q0 d{d} {rank} {9 - rank} t" for n in (0, 1, 30) for rank, d in enumerate((n, 40, 41), 1)]
    (tmp_path / "first.trec").write_text("\n".join([*lines, "q0 Q0 elsewhere 4 1.0 t"]) + "\n")
    words = ("--out", "labelled", "--run", "first.trec", "--compare", 5)
    assert main_in(tmp_path, *_words(chat.url, *words, "--max-requests", 8)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["agreement"]["pairs"] == 5
    assert told["agreement"]["kappa"] is None
    assert told["agreement"]["why"] == "no kappa: people call all 5 pairs relevant"
    # q30 is of test; of q0 and q1 two candidates each are not judged, and one id is of no passage.
    assert (told["pairs"]["candidates"], told["pairs"]["judged"]) == (7, 2)
    assert (told["pairs"]["unknown_documents"], told["pairs"]["graded"]) == (1, 3)
    assert told["pairs"]["not_asked"] == 1
    rows = [json.loads(line) for line in (tmp_path / "labelled/labels.jsonl").read_text().splitlines()]
    assert [row["reason"] for row in rows if row["grade"] is None] == ["not_asked"]
    assert [row["verdict"] for row in rows if row["grade"] is None] == [None]
    labels = tmp_path / "labelled/labels.jsonl"
    assert len(read_answers(labels).by_pair) == 3, "nobody was asked: no answer"
    labels.write_text(labels.read_text().replace('"verdict": null', '"verdict": "unsure"'))
    assert len(read_answers(labels).by_pair) == 3, "as earlier versions wrote them"


def test_too_little_agreement_labels_nothing(
    tmp_path: Path, collection: Path, chat: Chat, capsys: Any
) -> None:
    words = _words(chat.url, "--out", "labelled", "--assume-unjudged", "--compare", 20)
    assert main_in(tmp_path, *words, "--dry-run") == 0
    plan = json.loads(capsys.readouterr().out)
    assert 180 <= plan["requests"] <= 40 + 20 * 10
    assert chat.requests == []
    assert main_in(tmp_path, *words, "--min-kappa", 0.99) == 1
    assert "--min-kappa 0.99: kappa is 0." in capsys.readouterr().err
    asked = len(chat.requests)
    assert asked == 40
    assert main_in(tmp_path, *_words(chat.url, "--out", "labelled", "--min-kappa", 0, "--compare", 20)) == 1
    assert "no kappa: people call all 20 pairs relevant; judge pairs of both kinds" in capsys.readouterr().err
    assert not (tmp_path / "labelled").exists()
    assert len(chat.requests) == asked


def test_reviews_are_peoples_labels_too(tmp_path: Path, collection: Path, chat: Chat, capsys: Any) -> None:
    answers = [("q0", "d50", "not"), ("q1", "d51", "not"), ("q2", "d52", "unsure"), ("q3", "nowhere", "not")]
    rows = [json.dumps({"query_id": q, "doc_id": d, "verdict": verdict}) for q, d, verdict in answers]
    (tmp_path / "review.jsonl").write_text("\n".join(rows) + "\n")
    words = _words(chat.url, "--review", "review.jsonl", "--examples", 0)
    assert main_in(tmp_path, *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["out"] is None
    assert told["agreement"]["pairs"] == 38 + 2
    assert told["agreement"]["kappa"] is not None
    assert len(chat.requests) == 40
    # What a review holds is not asked again, nor assumed.
    first = "\n".join(f"q{n} Q0 d{n + 50} 1 1 t" for n in range(4)) + "\n"
    (tmp_path / "first.trec").write_text(first)
    words = (*words, "--run", "first.trec", "--assume-unjudged")
    assert main_in(tmp_path, *words, "--dry-run") == 0
    capsys.readouterr()
    assert main_in(tmp_path, *words) == 0
    assert json.loads(capsys.readouterr().out)["agreement"]["assumed"] == 1, "q3's alone"


def test_generated_labels_stay_out_of_the_evaluation(
    tmp_path: Path, collection: Path, chat: Chat, capsys: Any
) -> None:
    words = _words(chat.url, "--out", "labelled", "--split", "test", "--depth", 3, "--compare", 5)
    assert main_in(tmp_path, *words) == 2
    assert "--allow-evaluation lets them in all the same" in capsys.readouterr().err
    assert chat.requests == []
    assert main_in(tmp_path, *words, "--allow-evaluation") == 0
    told = json.loads(capsys.readouterr().out)
    count = told["labels"]["test"]["generated"]
    assert count > 0
    assert told["labels"]["train"] == {"human": 20, "generated": 0}
    lines = [f"{q} Q0 d{n} 1 1.0 t" for n, q in enumerate(read_qrels(collection / "qrels/test.tsv"))]
    (tmp_path / "run.trec").write_text("\n".join(lines) + "\n")
    assert main_in(tmp_path, "evaluate", "run.trec", "--qrels", "labelled/qrels/test.tsv") == 0
    warned = capsys.readouterr().err
    assert f"warning: {count} judgements of labelled/qrels/test.tsv are generated" in warned
    assert main_in(tmp_path, "evaluate", "run.trec", "--qrels", "collection/qrels/test.tsv") == 0
    assert "generated" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_cross_encoder(tmp_path: Path, collection: Path, capsys: Any) -> None:
    model = tiny_cross_encoder(tmp_path / "large")
    words = ["label", "collection", "--out", "labelled", "--cross-encoder", model, "--depth", 5, "--json",
             "--likely-positive", 0.6, "--likely-negative", 0.4]  # fmt: skip
    assert main_in(tmp_path, *words) == 0
    told = json.loads(capsys.readouterr().out)
    rows = [json.loads(line) for line in (tmp_path / "labelled/labels.jsonl").read_text().splitlines()]
    assert {row["grade"] for row in rows} > {None}
    for row in rows:
        expected = 1 if row["score"] > 0.6 else 0 if row["score"] < 0.4 else None
        assert row["grade"] == expected
    assert told["pairs"]["doubtful"] == sum(row["grade"] is None for row in rows)
    assert told["generator"] == "large"
    assert told["spent"] == {}


def test_answers_without_a_grade(tmp_path: Path, collection: Path, capsys: Any) -> None:
    """Some are counted and leave no label; when all are, nothing is written and an answer is shown."""

    def half(number: int, request: dict[str, Any]) -> Reply:
        text = said(request["messages"][0]["content"]) if number % 2 else "hard to say"
        return Reply(body=json.dumps(completion(text)))

    with unruly(half) as service:
        words = ["label", "collection", "--out", "labelled", "--endpoint", service.url, "--model", "m",
                 "--json", "--concurrency", 1, "--depth", 3, "--compare", 10]  # fmt: skip
        assert main_in(tmp_path, *words) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["agreement"]["ungraded"] == 5
        pairs = told["pairs"]
        assert abs(pairs["no_grade"] - pairs["graded"]) <= 1
        assert len(folder_sources(tmp_path / "labelled")) == pairs["graded"]
        service.answer = lambda *_: Reply(body=json.dumps(completion("hard to say")))
        assert main_in(tmp_path, *words, "--out", "none", "--fresh") == 1
        assert "answers holds a grade; found 'hard to say'" in capsys.readouterr().err
        assert not (tmp_path / "none").exists()


BAD = {
    "nobody": ([], "who grades? --cross-encoder MODEL, or --endpoint URL"),
    "both": (["--cross-encoder", "x", "--endpoint", "http://h"], "--endpoint: belongs to --endpoint"),
    "no model": (["--cross-encoder", "x"], "--cross-encoder: model 'x'"),
    "thresholds": (["--cross-encoder", "x", "--likely-negative", "0.95"], "is above --likely-positive"),
    "no run": (["--cross-encoder", "x", "--run", "none.trec"], "none.trec: no such file"),
    "no split": (["--cross-encoder", "x", "--run", "test.trec"], "no query of the run belongs to train"),
}


def test_bad_words(tmp_path: Path, collection: Path, capsys: Any) -> None:
    (tmp_path / "test.trec").write_text("q30 Q0 d1 1 1.0 t\n")
    for name, (words, message) in BAD.items():
        assert main_in(tmp_path, "label", "collection", "--out", "labelled", *words) == 2, name
        assert message in capsys.readouterr().err, name
    assert not (tmp_path / "labelled").exists()


@pytest.mark.slow
def test_generated_labels_through_a_whole_run(
    tmp_path: Path, collection: Path, recipe: Path, chat: Chat, crosstune: Crosstune
) -> None:
    """The collection trains as any other; its counts, its table and its report say what no person made."""
    words = ("synthesize", "collection", "--out", "more", "--endpoint", chat.url, "--model", "m")
    key = ("--api-key-env", "MY_KEY")
    assert crosstune(*words, *key, "--passages", 10).code == 0
    more = ("label", "more", "--out", "all", "--split", "test", "--allow-evaluation", "--depth", 3)
    done = crosstune(*more, "--endpoint", chat.url, "--model", "m", *key, "--json")
    assert done.code == 0, done.err
    count = json.loads(done.out)["labels"]["test"]["generated"]
    ran = crosstune("run", recipe, f"collection=beir:{tmp_path / 'all'}")
    assert ran.code == 0, ran.err
    assert "queries generated: " in ran.err
    assert "train judgements generated: " in ran.err
    assert f"warning: {count} judgements of test are generated" in ran.out
    report = (tmp_path / "runs/tiny/evaluate/report.html").read_text()
    assert f"{count} judgements of test are generated" in report
    people = write_collection(tmp_path / "people")
    assert "generated" not in json.dumps(read_collection(people).counts)
