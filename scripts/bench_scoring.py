"""Scoring speed of an export's formats against other packages on the same folder, in one alternating run.

    python scripts/bench_scoring.py [EXPORT] [--collections FOLDER ...] [--queries 4] [--repeats 3] [--json]

EXPORT is a folder of `crosstune export`; without one the MiniLM weights of a package get a fresh head by a
seed, and every format. FOLDER is a BEIR folder (default: code search over the standard library); a request is
a test query with its 100 best passages by BM25. What is not installed is named, not skipped in silence:

    pip install 'crosstune[train,openvino]' sentence-transformers flashrank fastembed rerankers

sentence-transformers' ONNX and OpenVINO need optimum-onnx and optimum-intel, and those transformers below 5,
with which no export can be made: `--save FOLDER` keeps one for a call from an environment of theirs.

Every system scores one request to warm up; then all take turns, `--repeats` times over all requests. Speeds
are medians of the turns, tau is the mean Kendall tau of a request's scores to torch's in fp32.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any

from scipy.stats import kendalltau

from crosstune.data import Bm25Settings, prepare_collection, read_collection, retrieve
from crosstune.machine import cores
from crosstune.serve.manifest import read_manifest
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.trec import read_run
from scoring_systems import BASELINE, Request, System, fresh_export, open_systems, torch_logits

PACKAGES = (
    *("onnxruntime", "openvino", "torch", "transformers", "sentence-transformers"),
    *("optimum-onnx", "optimum-intel", "flashrank", "fastembed", "rerankers", "tokenizers"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("export", nargs="?", type=Path, metavar="EXPORT")
    parser.add_argument("--collections", nargs="+", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--queries", type=int, default=4, help="requests a collection")
    parser.add_argument("--candidates", type=int, default=100, help="passages a request")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", metavar="SYSTEM", help="systems whose name begins with one of these"
    )
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="keep the export made")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = bench(options, Path(folder))
    print(json.dumps(result) if options.json else table(result))


def bench(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    requests = [
        request
        for folder in options.collections or [None]
        for request in read_requests(folder, options.queries, options.candidates, scratch)
    ]
    export = options.export or fresh_export(options.save or scratch, LengthRule(256, 64), requests)
    rule = read_manifest(export).rule
    expected = torch_logits(export, rule, requests)
    systems, absent = open_systems(export, rule, scratch, options.only)
    seconds = measure(systems, requests, options.repeats)
    pairs = sum(len(request.passages) for request in requests)
    base = median_total(seconds[BASELINE]) if BASELINE in seconds else None
    rows = {
        system.name: {
            "pairs_per_second": round(pairs / median_total(seconds[system.name]), 1),
            "ratio": round(base / median_total(seconds[system.name]), 2) if base else None,
            "p50_ms": round(1000 * statistics.median(chain.from_iterable(seconds[system.name])), 1),
            "kendall_tau": round(agreement(system, requests, expected), 4),
        }
        for system in systems
    }
    return {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cpu": cpu(), "cores": cores(), "load": os.getloadavg()},
        "versions": {"python": platform.python_version(), **versions()},
        "workload": workload(export, rule, requests) | {"repeats": options.repeats},
        "systems": rows,
        "absent": absent,
    }


def read_requests(folder: Path | None, queries: int, depth: int, scratch: Path) -> list[Request]:
    """The first test queries that have a full list of candidates."""
    path = folder or prepare_collection("stdlib", scratch / "stdlib", seed=13)
    collection = read_collection(path)
    out = scratch / f"retrieve-{collection.name}"
    out.mkdir()
    tokens = "words" if folder else "code"
    retrieve(collection, Bm25Settings(tokens=tokens, depth=depth), out)
    run = read_run(out / "test.trec")
    chosen = sorted(query_id for query_id, found in run.items() if len(found) == depth)[:queries]
    return [Request(collection.queries[q], [collection.passages[d] for d in run[q]]) for q in chosen]


def measure(
    systems: Sequence[System], requests: Sequence[Request], repeats: int
) -> dict[str, list[list[float]]]:
    """Seconds by system, turn and request."""
    seconds: dict[str, list[list[float]]] = {system.name: [] for system in systems}
    for system in systems:
        system.score(requests[0])
    for turn in range(repeats):
        # Who comes first changes from turn to turn: a machine that slows down hits all alike.
        shift = turn % max(1, len(systems))
        for system in [*systems[shift:], *systems[:shift]]:
            times = []
            for request in requests:
                started = time.perf_counter()
                system.score(request)
                times.append(time.perf_counter() - started)
            seconds[system.name].append(times)
    return seconds


def median_total(turns: Sequence[Sequence[float]]) -> float:
    return statistics.median(sum(times) for times in turns)


def agreement(system: System, requests: Sequence[Request], expected: Sequence[Sequence[float]]) -> float:
    taus = (
        kendalltau(system.score(request), logits).statistic
        for request, logits in zip(requests, expected, strict=True)
    )
    return statistics.fmean(float(tau) for tau in taus)


def workload(export: Path, rule: LengthRule, requests: Sequence[Request]) -> dict[str, Any]:
    encoder = PairEncoder.from_folder(export, rule)
    lengths = [len(pair) for request in requests for pair in encoder.encode(request.pairs)]
    return {
        "requests": len(requests),
        "pairs": len(lengths),
        "max_tokens": rule.max_tokens,
        "tokens": {"least": min(lengths), "median": statistics.median(lengths), "most": max(lengths)},
    }


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = [
        name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16") if name in fields.get("flags", "")
    ]
    return f"{fields.get('model name', platform.machine())} ({', '.join(flags)})"


def table(result: dict[str, Any]) -> str:
    lines = [f"{'system':34s} {'pairs/s':>8s} {'ratio':>6s} {'p50 ms':>8s} {'tau':>7s}"]
    for name, row in sorted(result["systems"].items(), key=lambda item: item[1]["p50_ms"]):
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        speed, p50, tau = row["pairs_per_second"], row["p50_ms"], row["kendall_tau"]
        lines.append(f"{name:34s} {speed:8.1f} {ratio:>6s} {p50:8.1f} {tau:7.4f}")
    lines += [f"{name:34s} {why}" for name, why in result["absent"].items()]
    about = {key: result[key] for key in ("when", "machine", "versions", "workload")}
    return "\n".join([*lines, json.dumps(about)])


if __name__ == "__main__":
    main()
