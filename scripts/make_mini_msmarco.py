"""A small MS MARCO from this Python's standard library, in exactly MS MARCO's file formats:

    .venv/bin/python scripts/make_mini_msmarco.py FOLDER [--depth 1000] [--dev-queries N] [--seed 13]

collection.tsv, queries.{train,dev,eval}.tsv, qrels.{train,dev}.tsv, triples.train.small.tsv,
qidpidtriples.train.small.tsv, top1000.dev.tsv; and run.bm25.dev.tsv, the BM25 run that the top1000 came from.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from crosstune.data.mini_msmarco import build_mini_msmarco


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--depth", type=int, default=1000, help="candidates a dev query, at most 1000")
    parser.add_argument("--dev-queries", type=int, default=None, help="judged dev queries; all by default")
    parser.add_argument("--negatives", type=int, default=4, help="triples a training query")
    parser.add_argument("--seed", type=int, default=13)
    given = parser.parse_args()
    counts = build_mini_msmarco(
        given.folder,
        seed=given.seed,
        depth=given.depth,
        dev_queries=given.dev_queries,
        negatives=given.negatives,
    )
    print(json.dumps(counts, indent=2))


if __name__ == "__main__":
    main()
