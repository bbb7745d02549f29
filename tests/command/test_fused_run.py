"""Fusion and the refusal of worse models, through the real command line."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from conftest import COUNTS, Crosstune

from crosstune.errors import InputError
from crosstune.serve import Reranker
from crosstune.trec import read_run

STRICT = "export.allow_worse=false"


def _json(path: Path) -> dict[str, object]:
    value: dict[str, object] = json.loads(path.read_text())
    return value


def _texts(collection: Path, name: str) -> dict[str, str]:
    rows = map(json.loads, (collection / name).read_text().splitlines())
    return {row["_id"]: row["text"] for row in rows}


def test_helper_and_command_fuse_as_the_evaluation_did(
    tmp_path: Path, recipe: Path, collection: Path, crosstune: Crosstune
) -> None:
    """The model is random and BM25 is good here, so the fusion is kept."""
    done = crosstune("run", recipe, "--query", "open the file")
    assert done.code == 0, done.err
    root = tmp_path / "runs" / "tiny"
    trial = _json(root / "train" / "fusion.json")
    assert trial["kept"], trial
    assert _json(root / "export" / "manifest.json")["fusion"] == {"weight": trial["weight"]}

    metrics = _json(root / "evaluate" / "metrics.json")
    assert metrics["recommended"] == "fused"
    for pair in ("fused against first_stage", "fused against tuned", "tuned against first_stage"):
        assert pair in metrics["comparison"]
    assert "tuned + first stage" in done.out
    assert "of the tuned model alone" in done.out
    assert "tuned + first stage" in (root / "evaluate" / "report.html").read_text()
    assert "fused nDCG@10" in (root / "evaluate" / "per_query.csv").read_text()

    reranker = Reranker(root / "export")
    queries, passages = _texts(collection, "queries.jsonl"), _texts(collection, "corpus.jsonl")
    candidates, expected = (
        read_run(root / name) for name in ("retrieve/test.trec", "evaluate/test.fused.trec")
    )
    assert len(expected) == COUNTS["test"]
    for query_id, first in candidates.items():
        documents = [{"id": doc_id, "text": passages[doc_id], "bm25": first[doc_id]} for doc_id in first]
        ranked = reranker.rank(queries[query_id], documents, first_stage_scores=[*first.values()])
        found = {str(documents[row.index]["id"]): row.fused for row in ranked}
        assert found == pytest.approx(expected[query_id], abs=1e-3)
        assert [row.fused for row in ranked] == sorted((row.fused for row in ranked), reverse=True)
        plain = reranker.rank(queries[query_id], documents)
        assert [row.logit for row in plain] == sorted((row.logit for row in plain), reverse=True)
        assert {row.fused for row in plain} == {None}
        assert {r.index: r.logit for r in ranked} == pytest.approx({r.index: r.logit for r in plain})

    file = tmp_path / "documents.jsonl"
    file.write_text("".join(json.dumps(document) + "\n" for document in documents))
    words = ("rank", root / "export", queries[query_id], "--documents", file, "--json")
    rows = json.loads(crosstune(*words, "--first-stage-field", "bm25").out)
    assert [(row["index"], row["fused"]) for row in rows] == [(row.index, row.fused) for row in ranked]
    rows = json.loads(crosstune(*words).out)
    assert [(row["index"], row["fused"]) for row in rows] == [(row.index, None) for row in plain]
    _refuses_bad_scores(reranker, tmp_path, crosstune, root / "export")

    measured = json.loads(crosstune("evaluate", root, "--json").out)
    assert measured["system"] == "fused"
    assert measured["splits"]["test"]["fused"]["nDCG@10"] == pytest.approx(
        metrics["splits"]["test"]["fused"]["nDCG@10"]  # type: ignore[index]
    )


def _refuses_bad_scores(reranker: Reranker, folder: Path, crosstune: Crosstune, export: Path) -> None:
    for scores, message in [
        ([1.0], r"first_stage_scores: found 1 scores for 2 documents"),
        ([1.0, float("nan")], r"first_stage_scores: entry 1 is nan; a finite number was expected"),
        ([1.0, None], r"first_stage_scores: entry 1 is None; a finite number was expected"),
    ]:
        with pytest.raises(InputError, match=message):
            reranker.rank("open", ["a", "b"], first_stage_scores=scores)  # type: ignore[arg-type]
    file = folder / "bad.jsonl"
    for line in ('"a string"', '{"text": "x"}', '{"text": "x", "s": "1"}', '{"text": "x", "s": NaN}'):
        file.write_text(f'{{"text": "open", "s": 1}}\n{line}\n')
        done = crosstune("rank", export, "open", "--documents", file, "--first-stage-field", "s")
        assert done.code == 2
        assert f"{file}:2: an object with a finite number under 's'" in done.err


def test_a_worse_model_is_shown_and_not_exported(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    root = tmp_path / "runs" / "tiny"
    # So high a rate ends in a model below the first stage, with its score or without.
    words = (recipe, "train.learning_rate=0.5", "train.teacher=none")
    words = (*words, "train.dev_queries=4", "train.verdict_queries=4")
    done = crosstune("run", *words, STRICT)
    assert done.code == 1, done.err
    assert "not exported: the tuned model" in done.err
    assert "is not better than the first stage on dev (nDCG@10 " in done.err
    assert "over 4 queries" in done.err
    assert "--allow-worse" in done.err
    assert not (root / "export").exists()
    training = _json(root / "train" / "train.json")
    dev = training["dev"]
    assert isinstance(dev, dict)
    assert training["best_on_dev"] == "first_stage"
    assert dev["first_stage"] == max(value for value in dev.values() if value is not None)
    assert dev["base"] is not None  # the test's base has a head
    assert "gain over the first stage: " in done.out
    assert f"dev nDCG@10: first stage {dev['first_stage']:.3f}" in done.out
    assert "best: first stage" in done.out
    assert "export      " not in done.out

    figures = crosstune("run", *words, STRICT, "--json")
    assert figures.code == 1
    assert json.loads(figures.out)["splits"]["test"]["tuned"]["nDCG@10"] >= 0
    alone = crosstune("export", *words, STRICT)
    assert alone.code == 1
    assert "not exported" in alone.err
    allowed = crosstune("export", *words, STRICT, "--allow-worse")
    assert allowed.code == 0, allowed.err
    assert (root / "export" / "manifest.json").is_file()
    assert "train: skipped" in crosstune("run", *words, "--allow-worse").err

    # What is refused leaves no export of before, under the same settings or of another training.
    assert crosstune("export", *words, STRICT).code == 1
    assert not (root / "export").exists()
    assert crosstune("run", *words, "--allow-worse").code == 0
    assert crosstune("run", *words, STRICT, "train.epochs=1").code == 1
    assert not (root / "export").exists()
    assert not list(root.glob(".*.old"))
    assert (root / "evaluate").is_dir()


def test_a_first_stage_of_noise_is_left_out(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    rng, number = random.Random(7), 0
    for split, count in COUNTS.items():
        lines = []
        for _ in range(count):
            others = rng.sample([d for d in range(60) if d != number], 9)
            scores = sorted((rng.random() for _ in range(10)), reverse=True)
            for rank, doc in enumerate(rng.sample([number, *others], 10)):
                lines.append(f"q{number} Q0 d{doc} {rank + 1} {scores[rank]} noise\n")
            number += 1
        (tmp_path / f"{split}.trec").write_text("".join(lines))
    noise = f"first_stage={{kind: trec, path: '{tmp_path}/{{split}}.trec', depth: 10}}"
    done = crosstune("run", recipe, noise, "mine.last_rank=10", "train.teacher=none")
    assert done.code == 0, done.err
    root = tmp_path / "runs" / "tiny"
    assert _json(root / "train" / "fusion.json")["kept"] is False
    assert _json(root / "train" / "train.json")["dev"]["fused"] is None  # type: ignore[index]
    metrics = _json(root / "evaluate" / "metrics.json")
    assert metrics["recommended"] == "tuned"
    assert "fused" not in metrics["splits"]["test"]  # type: ignore[index]
    assert "tuned + first stage" not in done.out
    assert not (root / "evaluate" / "test.fused.trec").exists()
    assert Reranker(root / "export").fusion is None
    file = tmp_path / "documents.jsonl"
    file.write_text('{"text": "open", "s": 1}\n{"text": "close a file", "s": 2}\n')
    words = ("rank", root / "export", "open", "--documents", file, "--json")
    scored, plain = crosstune(*words, "--first-stage-field", "s"), crosstune(*words)
    assert "keeps no fusion" in scored.err
    assert json.loads(scored.out) == json.loads(plain.out)
