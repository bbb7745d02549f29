"""The domain recipe against sentence-transformers' trainer, on the same weights and the same groups.

    python scripts/bench_quality.py COLLECTIONS_FOLDER [KEY=VALUE ...] [--only NAME ...] [--seeds 3] [--best]
        [--jobs 1] [--runs FOLDER] [--json]

COLLECTIONS_FOLDER holds one BEIR folder a collection. The `domain` recipe runs first, then
sentence-transformers' `CrossEncoderTrainer` with a fresh head by its documented recipe for mined negatives:
binary cross-entropy with `pos_weight` (negatives a positive), learning rate 2e-5, warm-up .1, batch 16, as
many epochs; bf16 and the most tokens as crosstune has them; its last weights rank the same candidates.
`--best` adds the best, with the first seed, of that and of three losses at two rates with twice the epochs,
chosen on the dev queries and candidates that crosstune's verdict is from. nDCG@10 on test, by query the mean
over the seeds; a paired randomisation test for each collection, Holm over the collections; then what the
doctor says of each training. Work that is done is not done again. Several `--jobs` at once are for a GPU with
cores to spare; their seconds say nothing.

    pip install 'crosstune[train]' sentence-transformers
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from bench_domain import collection_names, machine, options_parser, run_domain, seeds_of
from crosstune.data import read_collection
from crosstune.device import device, device_name
from crosstune.evaluate import ceiling, compare, holm, per_query
from crosstune.files import read_json, without_overflow
from crosstune.records import Collection, Qrels, Run
from crosstune.train.doctor.report import read_report
from crosstune.trec import read_run
from peer_quality import peer_folder

MEASURE = "nDCG@10"
DOCUMENTED = ("bce", "2e-5", "1")
GRID = tuple((loss, rate, "2") for loss in ("bce", "lambda", "mnrl") for rate in ("2e-5", "1e-4"))
COLUMNS = {
    "first_stage": "first stage",
    "base": "base",
    "documented": "documented",
    "best": "best of its losses",
    "crosstune": "crosstune",
    "ceiling": "ceiling",
}
RESAMPLES, CHANCE = 10_000, 13
Variant = tuple[str, str, str]
ByQuery = Mapping[str, float]


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--best", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    names, seeds = collection_names(options), seeds_of(options)
    runs = {(name, seed): options.runs / name / str(seed) for seed in seeds for name in names}

    def do(turn: Callable[..., object], *arguments: Sequence[Any]) -> None:
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(turn, *arguments))  # the list raises what a turn has raised

    def domain(path: Path, seed: int, run_dir: Path) -> None:
        run_domain(path, seed, run_dir, options.overrides)

    def peers(variants: Mapping[str, Iterable[Variant]], seeds: Sequence[int], split: str) -> None:
        turns = [
            (options.folder / name, runs[name, seed], seed, variant, split)
            for seed in seeds
            for name in names
            for variant in variants[name]
        ]
        do(_peer, *zip(*turns, strict=True))

    do(domain, [options.folder / name for name, _ in runs], [seed for _, seed in runs], [*runs.values()])
    collections = {name: read_collection(options.folder / name) for name in names}
    systems: dict[str, dict[str, Variant]] = {name: {"documented": DOCUMENTED} for name in names}
    if options.best:
        peers(dict.fromkeys(names, (DOCUMENTED, *GRID)), seeds[:1], "dev")
        for name in names:
            systems[name]["best"] = _best(collections[name].qrels["dev"], runs[name, seeds[0]])
    peers({name: dict.fromkeys(systems[name].values()) for name in names}, seeds, "test")

    rows = [
        _row(collections[name], [runs[name, seed] for seed in seeds], systems[name]) | {"collection": name}
        for name in names
    ]
    for peer in systems[names[0]]:
        adjusted = holm({row["collection"]: row["against"][peer]["p"] for row in rows})
        for row in rows:
            row["against"][peer]["p_holm"] = adjusted[row["collection"]]
    shown = [system for system in COLUMNS if system in rows[0]]
    means = {system: fmean(row[system] for row in rows) for system in shown}
    where = f"{machine()}, {device_name(device())}"
    if options.json:
        print(json.dumps({"machine": where, "command": sys.argv, "rows": rows, "mean": means}, indent=2))
    else:
        print(_table(rows, means, where))


def _peer(path: Path, run_dir: Path, seed: int, variant: Variant, split: str) -> None:
    worker = Path(__file__).with_name("peer_quality.py")
    command = [sys.executable, str(worker), str(path), str(run_dir), str(seed), *variant, split]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        sys.exit(f"{path.name}, seed {seed}, {variant}: failed; its message is above")


def _best(dev: Qrels, run_dir: Path) -> Variant:
    def on_dev(variant: Variant) -> float:
        run = read_run(peer_folder(run_dir, *variant) / "dev.trec")
        return fmean(_values({query_id: dev[query_id] for query_id in run}, run).values())

    return max((DOCUMENTED, *GRID), key=on_dev)


def _row(collection: Collection, run_dirs: Sequence[Path], peers: Mapping[str, Variant]) -> dict[str, Any]:
    qrels = collection.qrels["test"]
    found = [_by_system(qrels, run_dir, peers) for run_dir in run_dirs]
    by_query = {
        system: {query: fmean(values[system][query] for values in found) for query in qrels}
        for system in found[0]
    }
    against = {}
    for peer, variant in peers.items():
        comparison = compare(by_query[peer], by_query["crosstune"], CHANCE, RESAMPLES)
        against[peer] = {name: getattr(comparison, name) for name in ("difference", "low", "high", "p")}
        against[peer]["variant"] = " ".join(variant)
        against[peer]["seconds"] = [
            read_json(peer_folder(run_dir, *variant) / "train.json")["seconds"] for run_dir in run_dirs
        ]
    return {
        "queries": len(qrels),
        "seeds": len(run_dirs),
        **{system: fmean(values.values()) for system, values in by_query.items()},
        "by_seed": {
            system: [fmean(values[system].values()) for values in found] for system in (*peers, "crosstune")
        },
        "seconds": [read_json(run_dir / ".stages" / "train.json")["seconds"] for run_dir in run_dirs],
        "diagnoses": {run_dir.name: _diagnoses(run_dir) for run_dir in run_dirs},
        "against": against,
    }


def _diagnoses(run_dir: Path) -> list[dict[str, Any]]:
    """The doctor's, each with its figures. Of a run by an older crosstune those that need its log alone are
    this one's as well."""
    found: list[dict[str, Any]] = without_overflow(
        [asdict(d) for d in read_report(run_dir / "train").diagnoses]
    )
    return found


def _by_system(qrels: Qrels, run_dir: Path, peers: Mapping[str, Variant]) -> dict[str, ByQuery]:
    candidates = read_run(run_dir / "retrieve" / "test.trec")
    recommended = read_json(run_dir / "evaluate" / "metrics.json")["recommended"]
    runs: dict[str, Run] = {
        "first_stage": candidates,
        "base": read_run(run_dir / "evaluate" / "test.base.trec"),
        "crosstune": read_run(run_dir / "evaluate" / f"test.{recommended}.trec"),
        "ceiling": ceiling(qrels, candidates),
    }
    for peer, variant in peers.items():
        runs[peer] = read_run(peer_folder(run_dir, *variant) / "test.trec")
    return {system: _values(qrels, run) for system, run in runs.items()}


def _values(qrels: Qrels, run: Run) -> ByQuery:
    values: ByQuery = per_query(qrels, run, [MEASURE])[MEASURE]
    return values


def _table(rows: Sequence[Mapping[str, Any]], means: Mapping[str, float], where: str) -> str:
    peers = [*rows[0]["against"]]
    head = ["collection", "queries", *(COLUMNS[system] for system in means)]
    head += [f"over {COLUMNS[peer]}, p (Holm)" for peer in peers]
    lines = [f"test {MEASURE}, {where}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [row["collection"], str(row["queries"]), *(f"{row[system]:.3f}" for system in means)]
        cells += [_gain(row["against"][peer]) for peer in peers]
        lines.append("| " + " | ".join(cells) + " |")
    gains = [f"{means['crosstune'] - means[peer]:+.3f}" for peer in peers]
    last = ["mean", "", *(f"{value:.3f}" for value in means.values()), *gains]
    return "\n".join([*lines, "| " + " | ".join(last) + " |", "", *_doctor_says(rows)])


def _doctor_says(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each run with a diagnosis, or one that there is none."""
    runs = {(row["collection"], seed): found for row in rows for seed, found in row["diagnoses"].items()}
    said = [
        f"{name}, seed {seed}: the doctor says " + ", ".join(f"{d['name']} {d['evidence']}" for d in found)
        for (name, seed), found in runs.items()
        if found
    ]
    return said or [f"the doctor has no diagnosis of any of the {len(runs)} trainings"]


def _gain(found: Mapping[str, Any]) -> str:
    interval = f"[{found['low']:+.3f}, {found['high']:+.3f}]"
    return f"{found['difference']:+.3f} {interval}, {found['p_holm']:.2g} ({found['variant']})"


if __name__ == "__main__":
    main()
