"""A probe of another domain before and after training, and `crosstune merge`, by one tiny run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Crosstune, run_crosstune, write_collection, write_recipe
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from crosstune.data import Bm25Settings, ProbeSettings, open_probe
from crosstune.evaluate import compare, mean, per_query
from crosstune.models import has_ranking_head
from crosstune.records import Run
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import load_scorer
from crosstune.train.scoring import score_run
from crosstune.trec import read_run
from models import tiny_cross_encoder

RULE = LengthRule(48, 16)
MEASURE = "nDCG@10"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, a probe and the run `runs/tiny`, all of it done but the export."""
    folder = tmp_path_factory.mktemp("forgetting")
    os.environ["CROSSTUNE_CACHE"] = str(folder / "cache")  # the fixture of every test sets another one
    recipe = write_recipe(folder, write_collection(folder / "collection"))
    write_collection(folder / "probe", {"dev": 12, "test": 9}, size=40)
    with recipe.open("a") as handle:
        handle.write("probe: beir:probe\n")
    for stage in ("retrieve", "mine", "train", "evaluate"):
        done = run_crosstune(folder, stage, recipe)
        assert done.code == 0, done.err
    return folder


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _score(model: Path, probe: Any) -> Run:
    encoder = PairEncoder.from_folder(model, RULE)
    texts = (probe.candidates, probe.queries, probe.passages)
    return score_run(load_scorer(model, RULE, 0), encoder, *texts, "").run


@pytest.mark.slow
def test_a_probe_is_scored_before_and_after_training(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = _json(trained / "runs/tiny/evaluate/metrics.json")
    found = metrics["probe"]
    assert (found["collection"], found["split"], found["queries"]) == ("beir:probe", "test", 9)
    settings = ProbeSettings(collection=f"beir:{trained / 'probe'}")
    probe = open_probe(settings, ("test", "dev"), 13)
    by_hand = {}
    for system, model in (("base", trained / "model"), ("tuned", trained / "runs/tiny/train/model")):
        by_hand[system] = per_query(probe.qrels, _score(model, probe), [MEASURE])[MEASURE]
        assert found["systems"][system][MEASURE] == pytest.approx(mean(by_hand[system]), abs=1e-6)
    test = found["comparison"]["tuned against base"][MEASURE]
    wanted = compare(by_hand["base"], by_hand["tuned"], 13, 10_000)
    assert (test["difference"], test["p"]) == pytest.approx((wanted.difference, wanted.p), abs=1e-6)
    assert test["verdict"]
    page = (trained / "runs/tiny/evaluate/report.html").read_text()
    assert "Another domain" in page and f"{found['systems']['tuned'][MEASURE]:.3f}" in page


@pytest.mark.slow
def test_a_merge_chooses_on_dev_and_goes_on_to_an_export(trained: Path) -> None:
    root = trained / "runs/tiny-merged"
    shutil.rmtree(root, ignore_errors=True)
    done = run_crosstune(trained, "merge", "model", "runs/tiny", "--alpha", "0,.25,.75", "--json")
    assert done.code == 0, done.err
    result = _json(root / "merge.json")
    assert json.loads(done.out) == {**result, "folder": "runs/tiny-merged"}
    curve = {point["alpha"]: point for point in result["curve"]}
    assert [*curve] == [0, 0.25, 0.75, 1]

    # The rule, by hand: the mean of both as shares of the best that any alpha has.
    best = {name: max(point[name] for point in curve.values()) for name in ("domain", "probe")}
    for point in curve.values():
        shares = [point[name] / best[name] for name in best]
        assert point["value"] == pytest.approx(sum(shares) / 2)
    assert curve[result["alpha"]]["value"] == max(point["value"] for point in curve.values())
    summary = _json(trained / "runs/tiny/train/train.json")
    assert curve[1.0]["domain"] == pytest.approx(summary["dev"]["tuned"])
    assert curve[0.0]["domain"] == pytest.approx(summary["dev"]["base"])

    # The weights: on the line, but for the head's bias, whose zero is set anew; dev says what was told.
    ends = [load_file(trained / at / "model.safetensors") for at in ("model", "runs/tiny/train/model")]
    merged = load_file(root / "model/model.safetensors")
    for name, tensor in merged.items():
        if name != "classifier.bias":
            torch.testing.assert_close(tensor, torch.lerp(ends[0][name], ends[1][name], result["alpha"]))
    probe = open_probe(ProbeSettings(collection=f"beir:{trained / 'probe'}"), ("dev",), 13)
    values = per_query(probe.qrels, _score(root / "model", probe), [MEASURE])[MEASURE]
    assert mean(values) == pytest.approx(curve[result["alpha"]]["probe"], abs=1e-6)

    page = (root / "merge.html").read_text()
    assert "<svg" in page and "default-src 'none'" in page and "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", page)

    again = run_crosstune(trained, "merge", "model", "runs/tiny", "--alpha", "0,.25,.75", "--json")
    assert again.code == 0 and "up to date" in again.err
    other = run_crosstune(trained, "merge", "model", "runs/tiny", "--alpha", "0:1:.5")
    assert other.code == 2 and "holds the merge of other models, queries or alphas" in other.err
    words = ("merge", "model", "runs/tiny", "--alpha", "0,.25,.75")
    for chance in (("--seed", 14), ("--resamples", 200)):  # intervals of other draws are other results
        other = run_crosstune(trained, *words, *chance)
        assert other.code == 2 and "or with another seed or number of resamples" in other.err

    for stage in ("train", "evaluate", "export"):
        went = run_crosstune(trained, stage, root / "recipe.yaml", f"run_dir={root}")
        assert went.code == 0, went.err
    taken = _json(root / "train/train.json")
    assert (taken["steps"], taken["dev"]["tuned"]) == (0, pytest.approx(curve[result["alpha"]]["domain"]))
    manifest = _json(root / "export/manifest.json")
    assert manifest["parity"]["onnx"]["largest_difference"] < 1e-4
    exported = load_file(root / "export/model.safetensors")
    assert all(exported[name].equal(merged[name]) for name in merged)


@pytest.mark.slow
def test_a_merge_never_reads_a_test_split(trained: Path, tmp_path: Path) -> None:
    out = []
    for name, splits in (("with", ("dev", "test")), ("without", ("dev",))):
        for collection in ("collection", "probe"):
            shutil.copytree(trained / collection, tmp_path / name / collection)
            for path in (tmp_path / name / collection / "qrels").glob("*.tsv"):
                if path.stem not in splits:
                    path.unlink()
        words = ["--collection", "beir:collection", "--probe", "beir:probe", "--out", "merged"]
        ends = (trained / "model", trained / "runs/tiny/train/model")
        lengths = ("--max-tokens", 48, "--max-query-tokens", 16)
        done = run_crosstune(tmp_path / name, "merge", *ends, *words, *lengths, "--alpha", "0:1:.5")
        assert done.code == 0, done.err
        result = _json(tmp_path / name / "merged" / "merge.json")
        assert [point["alpha"] for point in result["curve"]] == [0, 0.5, 1]
        out.append(result)
        assert not (tmp_path / name / "merged" / "recipe.yaml").exists(), "no run folder, no recipe"
    assert out[0] == out[1]


@pytest.mark.slow
def test_a_killed_merge_goes_on_where_it_was(trained: Path, tmp_path: Path) -> None:
    words = ["merge", "model", "runs/tiny", "--alpha", "0:1:.05"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_crosstune(trained, *words, "--out", whole).code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "crosstune.cli", *words, "--out", str(killed)], cwd=trained,
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    kept = tmp_path / ".killed.partial"
    until = time.monotonic() + 120
    while len([*kept.glob("*.trec")]) < 12:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not killed.exists()
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("probe.*.trec")}
    done = run_crosstune(trained, *words, "--out", killed)
    assert done.code == 0, done.err
    assert len(before) > 3
    assert _json(killed / "merge.json") == _json(whole / "merge.json")
    weights = [(folder / "model/model.safetensors").read_bytes() for folder in (whole, killed)]
    assert weights[0] == weights[1]
    assert not kept.exists()


@pytest.mark.slow
def test_a_base_without_a_head_is_merged_with_the_comparison_it_started_as(
    tmp_path: Path, crosstune: Crosstune
) -> None:
    """Alpha 0 ranks dev as the training's step 0 did; the first stage is so bad that vectors are taken."""
    collection = write_collection(tmp_path / "collection")
    write_collection(tmp_path / "probe", {"dev": 12}, size=40)
    recipe = write_recipe(tmp_path, collection)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").bert
    with torch.no_grad():
        model.embeddings.position_embeddings.weight.mul_(0.01)
    model.save_pretrained(tmp_path / "model")
    assert not has_ranking_head(tmp_path / "model")
    for split in ("train", "dev", "test"):
        settings = ProbeSettings(collection=f"beir:{collection}", first_stage=Bm25Settings(depth=20))
        run = open_probe(settings, (split,), 1).candidates
        lines = [
            f"{query_id} Q0 {doc_id} 1 {-score} x"
            for query_id, scores in run.items()
            for doc_id, score in scores.items()
        ]
        (tmp_path / f"{split}.trec").write_text("\n".join(lines) + "\n")
    words = ["first_stage.kind=trec", "first_stage.path={split}.trec", "train.teacher=base"]
    for stage in ("retrieve", "mine", "train"):
        done = crosstune(stage, recipe, *words)
        assert done.code == 0, done.err
    start = tmp_path / "runs/tiny/train/start"
    assert start.is_dir(), done.err
    done = crosstune("merge", "model", "runs/tiny", "--probe", "beir:probe", "--alpha", "0:1:.5", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    rows = [json.loads(line) for line in (start.parent / "train_log.jsonl").read_text().splitlines()]
    at_start = next(row[f"eval_{MEASURE}"] for row in rows if row["step"] == 0)
    assert result["curve"][0]["domain"] == pytest.approx(at_start, abs=1e-3)
    assert result["curve"][-1]["domain"] == _json(start.parent / "train.json")["dev"]["tuned"]
    assert result["base"].endswith("train/start")
    logits = [
        logit
        for scores in read_run(tmp_path / "runs/tiny/train/dev.tuned.trec").values()
        for logit in scores.values()
    ]
    assert max(map(abs, logits)) < 40


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--alpha", "0:1.2:.1"], "1.2 lies outside of 0 to 1"),
        (["--probe", "beir:nowhere"], "nowhere: no such folder"),
        (["--max-tokens", "32"], "--max-tokens: the run runs/tiny has its own"),
    ],
)
def test_words_that_a_merge_cannot_follow(trained: Path, words: list[str], message: str) -> None:
    done = run_crosstune(trained, "merge", "model", "runs/tiny", "--out", "refused", *words)
    assert done.code == 2
    assert message in done.err
    assert not (trained / "refused").exists()


@pytest.mark.slow
def test_a_tuned_model_that_cannot_be_taken(trained: Path, tmp_path: Path) -> None:
    base = tiny_cross_encoder(tmp_path / "base")
    AutoModelForSequenceClassification.from_pretrained(base).bert.save_pretrained(base)
    recipe = trained / "tiny.yaml"
    refused = run_crosstune(trained, "train", recipe, f"tuned={base}", "run_dir=runs/taken")
    assert refused.code == 2 and "retrieve has not been run" in refused.err
    shutil.copytree(trained / "runs/tiny", trained / "runs/taken", dirs_exist_ok=True)
    refused = run_crosstune(trained, "train", recipe, f"tuned={base}", "run_dir=runs/taken")
    assert refused.code == 2 and "has no ranking head" in refused.err
    both = run_crosstune(trained, "run", recipe, f"tuned={base}", "adapt.steps=5")
    assert both.code == 2 and "adapt.steps is about a training; leave one out" in both.err


@pytest.mark.slow
def test_a_probe_that_is_not_there_is_said_before_the_training(trained: Path) -> None:
    recipe = trained / "tiny.yaml"
    gone = run_crosstune(trained, "run", recipe, "probe=beir:gone", "run_dir=runs/gone")
    assert gone.code == 2 and "has no split test or dev" in gone.err
    assert not (trained / "runs/gone/train").exists()
    unknown = run_crosstune(trained, "run", recipe, "probe=thing", "run_dir=runs/gone")
    assert unknown.code == 2 and "probe: collection 'thing' is not known" in unknown.err
    wrong = run_crosstune(trained, "run", recipe, "probe={colection: beir:probe}", "run_dir=runs/gone")
    assert wrong.code == 2 and "did you mean probe.collection" in wrong.err
