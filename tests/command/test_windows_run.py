"""A whole run over long documents whose relevant words stand at the end, by the real command line."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from conftest import WORDS, Crosstune, write_collection

from crosstune.data import read_groups
from crosstune.serve import Reranker
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.serve.windows import Windows
from crosstune.train import load_cross_encoder
from crosstune.train.scoring import score_pairs
from crosstune.trec import read_run
from models import tiny_cross_encoder
from sealed import reseal
from served import serving

RULE = LengthRule(48, 16, windows=Windows(8, 6))


@pytest.fixture
def long_recipe(tmp_path: Path) -> Path:
    """As the recipe of the other runs, but each passage follows 60 words that are the same in all of them."""
    folder = write_collection(tmp_path / "collection")
    start = " ".join(random.Random(9).choices(WORDS, k=60))
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    lines = [json.dumps(row | {"text": f"{start} {row['text']}"}) for row in rows]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    path = tmp_path / "long.yaml"
    path.write_text(
        f"""name: long
collection: beir:{folder}
model: {tiny_cross_encoder(tmp_path / "model")}
first_stage: {{depth: 20}}
mine:
  {{negatives: 3, last_rank: 20, near_copy: 1.0, teacher: "{tmp_path / "model"}", distill_teacher: true,
  likely_positive: 1.0, likely_negative: 1.0}}
train:
  max_tokens: 48
  max_query_tokens: 16
  windows: {{aggregate: max, overlap: 8, most: 6}}
  epochs: 2
  evaluations: 2
  learning_rate: 1e-3
  precision: fp32
export: {{allow_worse: true}}
"""
    )
    return path


@pytest.mark.slow
def test_maxp_sees_what_stands_at_the_end(tmp_path: Path, long_recipe: Path, crosstune: Crosstune) -> None:
    run = tmp_path / "run"
    done = crosstune("run", long_recipe, f"run_dir={run}")
    assert done.code == 0, done.err
    assert "passages read in windows of 48 tokens a pair, 0 cut behind 6 windows" in done.err
    manifest = json.loads((run / "export" / "manifest.json").read_text())
    assert manifest["length_rule"]["windows"] == {"overlap": 8, "most": 6, "aggregate": "max"}
    assert manifest["schema"] == 2
    config = json.loads((run / "export" / "config.json").read_text())
    assert config["crosstune"]["windows"] == manifest["length_rule"]["windows"]
    card = (run / "export" / "README.md").read_text()
    assert "at most 6 windows" in card and "(FirstP)" in card

    # Mining's teacher reads the passages as training does.
    model = load_cross_encoder(tmp_path / "model", RULE, 0)
    encoder = PairEncoder.from_folder(tmp_path / "model", RULE)
    for group in read_groups(run / "mine")[:3]:
        logits = score_pairs(model, encoder, [(group.query, doc) for doc in group.docs])
        assert group.teacher_scores == pytest.approx(logits, abs=1e-3)

    # Evaluation, helper and a file of pairs say the same, and tell documents apart that begin alike.
    texts = {row["_id"]: row["text"] for row in _rows(tmp_path / "collection" / "corpus.jsonl")}
    queries = {row["_id"]: row["text"] for row in _rows(tmp_path / "collection" / "queries.jsonl")}
    helper = Reranker(run / "export")
    tuned = read_run(run / "evaluate" / "test.tuned.trec")
    seen = 0
    for query_id, logits in tuned.items():
        scores = helper.score([(queries[query_id], texts[doc_id].strip()) for doc_id in logits])
        assert [score.logit for score in scores] == pytest.approx([*logits.values()], abs=1e-3)
        seen += len({round(score.logit, 4) for score in scores if score.window and score.window[0]}) > 1
    assert seen, "the last window of some documents of a query is the best, and differs"
    out = tmp_path / "scored.trec"
    files = (
        "--queries",
        tmp_path / "collection/queries.jsonl",
        "--corpus",
        tmp_path / "collection/corpus.jsonl",
    )
    scored = crosstune(
        "score", run / "export", "--pairs", run / "evaluate/test.tuned.trec", *files, "--out", out
    )
    assert scored.code == 0, scored.err
    assert "200 pairs, 0 of them from before; 200 read in windows, 0 cut" in scored.err
    for query_id, logits in read_run(out).items():
        assert logits == pytest.approx(tuned[query_id], abs=1e-3)

    # A server of ours ranks as the helper; one that cuts (the same weights without the windows) does not.
    with serving(run / "export") as served:
        words = ("parity", run / "export", "--url", f"{served.url}/tei", "--style", "tei", "--json")
        found = json.loads(crosstune(*words).out)
        assert (found["kendall_tau"], found["windowed"]) == (1.0, found["pairs"])
    plain = tmp_path / "plain"
    shutil.copytree(run / "export", plain)
    manifest["length_rule"].pop("windows")
    reseal(plain, manifest | {"schema": 1})
    alike = Reranker(plain).score([(queries["q0"], text) for text in texts.values()])
    assert len({score.logit for score in alike}) == 1, "the beginning is all that it sees"
    with serving(plain) as served:
        cut = crosstune("parity", run / "export", "--url", f"{served.url}/tei", "--style", "tei")
    assert cut.code == 1
    assert "the export reads long documents in windows, and most servers cut them" in cut.err


def test_bad_windows_name_the_key_and_the_change(long_recipe: Path, crosstune: Crosstune) -> None:
    done = crosstune("run", long_recipe, "train.windows.overlap=29", "train.windows.most=0")
    assert done.code == 2
    assert "train.windows.most: found 0" in done.err
    done = crosstune("run", long_recipe, "train.windows.overlap=29")
    assert done.code == 2
    assert "windows.overlap is 29" in done.err and "has 29 tokens" in done.err


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
