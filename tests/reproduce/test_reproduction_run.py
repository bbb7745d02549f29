"""A reproduction from the command line on a small MS MARCO, and what it refuses."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_msmarco_files import write_beir
from transformers import AutoModelForSequenceClassification

from crosstune.data.mini_msmarco import build_mini_msmarco
from crosstune.errors import InputError
from crosstune.recipe import Recipe, find_recipe, load_recipe
from crosstune.reproduction import ReproductionPipeline
from crosstune.run import RunFolder
from models import tiny_cross_encoder


def crosstune(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "crosstune.cli", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    build_mini_msmarco(
        tmp_path / "msmarco", depth=20, dev_queries=8, negatives=3, source=write_beir(tmp_path / "b")
    )
    base = tiny_cross_encoder(tmp_path / "base")
    AutoModelForSequenceClassification.from_pretrained(base).bert.save_pretrained(base)
    path = tmp_path / "tiny.yaml"
    path.write_text(
        f"""name: tiny
procedure: nogueira_cho_msmarco
model: {base}
data: {{folder: {tmp_path / "msmarco"}, qrels: qrels.dev.tsv, baseline_run: run.bm25.dev.tsv}}
train: {{max_tokens: 48, max_query_tokens: 16, batch_pairs: 8, steps: 4, warmup_steps: 1}}
evaluate: {{figure: 0.99, tolerance: 0.001}}
"""
    )
    return path


def test_all_stages_run_are_skipped_again_and_agree_with_the_run_file(recipe: Path, tmp_path: Path) -> None:
    done = crosstune("run", recipe, "run_dir=out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "published MRR@10: 0.9900 (tolerance 0.0010): NOT reproduced" in done.stdout
    metrics = json.loads((tmp_path / "out/evaluate/metrics.json").read_text())
    systems = metrics["splits"]["dev"]
    assert set(systems) == {"first_stage", "tuned", "ceiling"}
    relevant = {
        line.split("\t")[0]: line.split("\t")[2] for line in _lines(tmp_path / "msmarco/qrels.dev.tsv")
    }
    total = 0.0
    for line in _lines(tmp_path / "out/evaluate/dev.tuned.tsv"):
        qid, pid, rank = line.split("\t")
        total += 1 / int(rank) if relevant[qid] == pid and int(rank) <= 10 else 0
    assert systems["tuned"]["MRR@10"] == pytest.approx(total / len(relevant))
    manifest = json.loads((tmp_path / "out/export/manifest.json").read_text())
    assert manifest["length_rule"] == {"max_tokens": 48, "max_query_tokens": 16, "style": "nogueira_cho"}
    again = crosstune("run", recipe, "run_dir=out", cwd=tmp_path)
    assert again.stderr.count("skipped, up to date") == 4
    refused = crosstune("mine", recipe, "run_dir=out", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "mine: no such stage in this recipe; one of collection, train, evaluate, export" in refused.stderr
    query = crosstune("run", recipe, "run_dir=out", "--query", "open", cwd=tmp_path)
    assert query.returncode == 2
    assert "--query needs a recipe with a first stage" in query.stderr
    report = crosstune("report", "out", cwd=tmp_path)
    assert (report.returncode, report.stdout) == (2, "")
    assert "it is of a published procedure, which has no report" in report.stderr
    _is_read_as_a_run(tmp_path, total / len(relevant))


def test_the_gate_of_a_format_ranks_whole_lists(recipe: Path, tmp_path: Path) -> None:
    """Of a file that holds its rows in no order, as MS MARCO's do."""
    path = tmp_path / "msmarco/top1000.dev.tsv"
    rows = path.read_text().splitlines(keepends=True)
    random.Random(5).shuffle(rows)
    path.write_text("".join(rows))
    queries = {row.split("\t")[0] for row in rows}
    words = ("export.formats=[onnx, onnx-int8]", "export.int8_tau=-1", "export.int8_ndcg=1")
    done = crosstune("run", recipe, "run_dir=out", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"; {len(queries)} queries, {len(rows)} pairs)" in done.stderr


def _is_read_as_a_run(folder: Path, mrr: float) -> None:
    """The finished run `out`, whose logits have no ties at the ranks that count."""
    measured = crosstune("evaluate", "out", "-m", "RR@10", "--json", cwd=folder)
    assert measured.returncode == 0, measured.stderr
    values = json.loads(measured.stdout)
    assert values["splits"]["dev"]["tuned"]["RR@10"] == pytest.approx(mrr)
    assert "measured by trec_eval's rules" in measured.stderr
    gate = crosstune("gate", "out", "--min", f"RR@10>={mrr - 0.001}", "--max-latency", "60000", cwd=folder)
    assert gate.returncode == 0, gate.stderr
    first = _trec_run(folder / "msmarco/run.bm25.dev.tsv", folder / "bm25.trec")
    compared = crosstune("compare", first, "out", "-m", "RR@10", cwd=folder)
    assert compared.returncode == 0, compared.stderr
    planned = crosstune(
        "plan", "out", "--budget-ms", "60000", "--first-stage", first, "-m", "RR@10", cwd=folder
    )
    assert planned.returncode == 0, planned.stderr


def _trec_run(path: Path, out: Path) -> Path:
    rows = [line.split("\t") for line in _lines(path)]
    out.write_text("".join(f"{qid} Q0 {pid} {rank} {-int(rank)} bm25\n" for qid, pid, rank in rows))
    return out


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_broken_triple_stops_the_run_with_file_and_line(recipe: Path, tmp_path: Path) -> None:
    triples = tmp_path / "msmarco/triples.train.small.tsv"
    lines = _lines(triples)
    triples.write_text("\n".join([*lines[:5], "only\ttwo", *lines[6:]]) + "\n")
    done = crosstune("run", recipe, "run_dir=out", cwd=tmp_path)
    assert done.returncode == 2
    assert "triples.train.small.tsv:6: found 2 tab-separated columns, 3 were expected" in done.stderr


@pytest.mark.slow
def test_a_fault_of_evaluation_is_found_before_training_and_mended_without_training_anew(
    recipe: Path, tmp_path: Path
) -> None:
    top1000 = tmp_path / "msmarco/top1000.dev.tsv"
    whole = top1000.read_text()
    lines = whole.splitlines()
    broken = "\n".join([*lines[:19], "7\tcut off\tx", *lines[20:]]) + "\n"
    top1000.write_text(broken)
    refused = crosstune("run", recipe, "run_dir=out", cwd=tmp_path)
    assert refused.returncode == 2
    assert "top1000.dev.tsv:20: found 3 tab-separated columns, 4 were expected" in refused.stderr
    assert "train ..." not in refused.stderr
    top1000.write_text(whole)
    trained = crosstune("train", recipe, "run_dir=out", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    log = tmp_path / "out/train/train_log.jsonl"
    before = (log.read_bytes(), log.stat().st_mtime_ns)
    top1000.write_text(broken)
    refused = crosstune("run", recipe, "run_dir=out", cwd=tmp_path)
    assert (refused.returncode, "top1000.dev.tsv:20:" in refused.stderr) == (2, True)
    top1000.write_text(whole)
    os.utime(tmp_path / "msmarco/qrels.dev.tsv")
    done = crosstune("run", recipe, "run_dir=out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "train: skipped, up to date" in done.stderr
    assert "evaluate: done in" in done.stderr
    assert (log.read_bytes(), log.stat().st_mtime_ns) == before


ALL, FROM_EVALUATION = "collection train evaluate export", "collection evaluate export"


@pytest.mark.parametrize(
    ("word", "again"),
    [
        ("triples.train.small.tsv", ALL),
        ("top1000.dev.tsv", FROM_EVALUATION),
        ("qrels.dev.tsv", FROM_EVALUATION),
        ("run.bm25.dev.tsv", FROM_EVALUATION),
        ("data.baseline_run=null", FROM_EVALUATION),
        ("data.top1000=other.tsv", FROM_EVALUATION),
        ("data.triples=other.tsv", ALL),
        ("seed=14", ALL),
        ("train.steps=5", "train evaluate export"),
        ("evaluate.figure=0.5", "evaluate export"),
    ],
)
def test_each_stage_is_done_again_for_what_it_reads(
    recipe: Path, tmp_path: Path, word: str, again: str
) -> None:
    words = [word] if "=" in word else []
    shutil.copy2(tmp_path / "msmarco/triples.train.small.tsv", tmp_path / "msmarco/other.tsv")
    before = stage_fingerprints(recipe)
    if not words:
        os.utime(tmp_path / "msmarco" / word)
    after = stage_fingerprints(recipe, *words)
    assert " ".join(name for name in before if before[name] != after[name]) == again


def test_of_a_made_collection_training_depends_on_all(recipe: Path) -> None:
    made = ("data.folder=stdlib",)
    before = stage_fingerprints(recipe, *made)
    after = stage_fingerprints(recipe, *made, "data.mini.dev_queries=7")
    assert not set(before.values()) & set(after.values())


def stage_fingerprints(recipe: Path | str, *words: str) -> dict[str, str]:
    """Of a published procedure's stages, by name; nothing is run."""
    loaded = load_recipe(str(recipe), words)
    assert not isinstance(loaded, Recipe)
    stages = ReproductionPipeline(loaded, RunFolder(Path("none"))).stages()
    return {stage.name: stage.fingerprint for stage in stages}


def test_recipes_in_folders_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = find_recipe("nogueira_cho/mini")
    assert path == find_recipe("recipes/nogueira_cho/mini.yaml")
    assert path.parent.name == "nogueira_cho"
    with pytest.raises(InputError, match="nogueira_cho/msmarco_base"):
        find_recipe("mini")


@pytest.mark.parametrize("size", ["base", "large"])
def test_the_recipes_hold_the_papers_settings(size: str) -> None:
    recipe = load_recipe(f"nogueira_cho/msmarco_{size}")
    train = recipe.train.model_dump()
    assert (train["batch_pairs"], train["steps"], train["warmup_steps"]) == (128, 100_000, 10_000)
    assert (train["learning_rate"], train["epsilon"], train["weight_decay"]) == (3e-6, 1e-6, 0.01)
    assert (train["max_tokens"], train["max_query_tokens"], train["dropout"]) == (512, 64, 0.1)


def test_unknown_keys_of_a_procedure_are_explained() -> None:
    with pytest.raises(InputError, match=r"train\.warmup: unknown key; did you mean train\.warmup_steps\?"):
        load_recipe("nogueira_cho/mini", ["train.warmup=3"])
    with pytest.raises(InputError, match="procedure: found 'other'"):
        load_recipe("nogueira_cho/mini", ["procedure=other"])


def test_a_precision_that_is_to_be_measured_is_measured_once(recipe: Path, tmp_path: Path) -> None:
    first = crosstune("run", recipe, "run_dir=out", "train.precision=auto", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    kept = tmp_path / "out/train/precision.json"
    measured = json.loads(kept.read_text())
    assert f"bf16 matrix products run {measured['bf16_over_fp32']} times as fast" in first.stderr
    assert measured["bf16"] is (measured["bf16_over_fp32"] >= 1.5)
    fixed = crosstune("run", recipe, "run_dir=fixed", cwd=tmp_path)
    assert fixed.returncode == 0, fixed.stderr
    assert not (tmp_path / "fixed/train/precision.json").exists()
