"""The domain recipe against sentence-transformers' documented recipe for mined negatives, on the same groups.

    python scripts/bench_quality.py COLLECTIONS_FOLDER [--only NAME ...] [--seeds 3] [--runs FOLDER] [--json]

COLLECTIONS_FOLDER holds one BEIR folder a collection. The `domain` recipe runs first (`bench_domain.py`; what
is up to date is not done again). Then sentence-transformers' `CrossEncoderTrainer` trains the same weights,
with a fresh head, on the same groups for as many epochs: binary cross-entropy with `pos_weight` (negatives a
positive), learning rate 2e-5, warm-up .1, batch 16, the same most tokens, bf16 where the recipe took it; its
last weights rank the same candidates. nDCG@10 on test, by query the mean over the seeds; a paired
randomisation test for each collection, Holm over the collections.

    pip install 'crosstune[train]' sentence-transformers
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from bench_domain import collection_names, machine, options_parser, run_domain
from crosstune.data import read_collection
from crosstune.data.mining import read_groups
from crosstune.evaluate import ceiling, compare, holm, per_query
from crosstune.files import read_json
from crosstune.recipe import load_collection_recipe
from crosstune.records import Collection, Run
from crosstune.trec import read_run, write_run
from random_bases import MINILM
from training_systems import train_sentence_transformers

MEASURE = "nDCG@10"
BATCH = 16
SYSTEMS = ("first_stage", "base", "sentence_transformers", "crosstune", "ceiling")
RESAMPLES, SEED = 10_000, 13


def main() -> None:
    options = options_parser(__doc__).parse_args()
    rows = [_row(options.folder / name, options) for name in collection_names(options)]
    adjusted = holm({row["collection"]: row["against_sentence_transformers"]["p"] for row in rows})
    for row in rows:
        row["against_sentence_transformers"]["p_holm"] = adjusted[row["collection"]]
    means = {system: fmean(row[system] for row in rows) for system in SYSTEMS}
    if options.json:
        print(json.dumps({"machine": machine(), "command": sys.argv, "rows": rows, "mean": means}, indent=2))
    else:
        print(_table(rows, means))


def _row(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    collection = read_collection(path)
    by_system: dict[str, list[Mapping[str, float]]] = {system: [] for system in SYSTEMS}
    for seed in range(13, 13 + options.seeds):
        run_dir = options.runs / path.name / str(seed)
        metrics = run_domain(path, seed, run_dir, [])
        for system, run in _runs(collection, run_dir, seed, metrics).items():
            by_system[system].append(per_query(collection.qrels["test"], run, [MEASURE])[MEASURE])
    queries = collection.qrels["test"]
    mean_by_query = {
        system: {query: fmean(values[query] for values in seeds) for query in queries}
        for system, seeds in by_system.items()
    }
    comparison = compare(mean_by_query["sentence_transformers"], mean_by_query["crosstune"], SEED, RESAMPLES)
    row: dict[str, Any] = {"collection": path.name, "seeds": options.seeds, "queries": len(queries)}
    row |= {system: fmean(values.values()) for system, values in mean_by_query.items()}
    row["by_seed"] = {
        system: [fmean(values.values()) for values in by_system[system]] for system in SYSTEMS[2:4]
    }
    row["against_sentence_transformers"] = {
        name: getattr(comparison, name) for name in ("difference", "low", "high", "p")
    }
    print(_line(row), file=sys.stderr, flush=True)
    return row


def _runs(collection: Collection, run_dir: Path, seed: int, metrics: Mapping[str, Any]) -> dict[str, Run]:
    candidates = read_run(run_dir / "retrieve" / "test.trec")
    theirs = run_dir / "sentence_transformers.trec"
    if not theirs.is_file():
        write_run(theirs, _sentence_transformers(collection, candidates, run_dir, seed), "st")
    return {
        "first_stage": candidates,
        "base": read_run(run_dir / "evaluate" / "test.base.trec"),
        "sentence_transformers": read_run(theirs),
        "crosstune": read_run(run_dir / "evaluate" / f"test.{metrics['recommended']}.trec"),
        "ceiling": ceiling(collection.qrels["test"], candidates),
    }


def _sentence_transformers(collection: Collection, candidates: Run, run_dir: Path, seed: int) -> Run:
    import torch

    recipe = load_collection_recipe(str(run_dir / "recipe.yaml")).train
    groups = read_groups(run_dir / "mine")
    labels = [label > 0 for group in groups for label in group.labels]
    with tempfile.TemporaryDirectory() as scratch:
        model, _ = train_sentence_transformers(
            groups,
            MINILM,
            Path(scratch),
            recipe.max_tokens,
            batch=BATCH,
            epochs=recipe.epochs,
            bf16=read_json(run_dir / "train" / "precision.json")["bf16"],
            seed=seed,
            save_strategy="no",
            pos_weight=(len(labels) - sum(labels)) / sum(labels),
        )
    run: Run = {}
    for query_id, scores in candidates.items():
        pairs = [(collection.queries[query_id], collection.passages[doc_id]) for doc_id in scores]
        found = model.predict(pairs, show_progress_bar=False, activation_fn=torch.nn.Identity())
        run[query_id] = dict(zip(scores, map(float, found), strict=True))
    return run


def _line(row: Mapping[str, Any]) -> str:
    found = row["against_sentence_transformers"]
    figures = " | ".join(f"{row[system]:.3f}" for system in SYSTEMS)
    gain = f"{found['difference']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"
    p = f"{found['p_holm']:.2g}" if "p_holm" in found else "-"
    return f"| {row['collection']} | {row['queries']} | {figures} | {gain} | {p} |"


def _table(rows: Sequence[Mapping[str, Any]], means: Mapping[str, float]) -> str:
    head = (
        "| collection | queries | first stage | base | sentence-transformers | crosstune | ceiling | "
        "difference | p (Holm) |\n" + "|---" * 9 + "|"
    )
    mean = " | ".join(f"{means[system]:.3f}" for system in SYSTEMS)
    gain = means["crosstune"] - means["sentence_transformers"]
    last = f"| mean | | {mean} | {gain:+.3f} | |"
    return "\n".join([f"test {MEASURE}, {machine()}", "", head, *map(_line, rows), last])


if __name__ == "__main__":
    main()
