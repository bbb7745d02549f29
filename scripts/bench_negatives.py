"""What the negatives of mining are worth: the domain recipe on dev, with its own mining and with others.

    python scripts/bench_negatives.py COLLECTIONS_FOLDER [KEY=VALUE ...] [--only NAME ...] [--seeds 3]
        [--rounds] [--jobs 1] [--runs FOLDER] [--json]

COLLECTIONS_FOLDER holds one BEIR folder a collection. Each seed mines and trains with the recipe's settings
(`default`), without leaving near copies of a positive out (`unfiltered`), with the model of `default` as the
teacher that quarantines and drops by RocketQA's thresholds (`teacher`), and from BM25 fused with vectors in
place of BM25 (`hybrid`); `--rounds` adds a second round of mining (`round 2`). BM25's candidates are reranked
in all of them. The figure is dev nDCG@10 of the tuned model, since defaults are chosen by it; by query the
mean over the seeds, a paired randomisation test against `default`, Holm over the collections. Work that is
done is not done again. With several `--jobs` set OMP_NUM_THREADS, so that they do not wait for each other.

    pip install 'crosstune[train]'
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

from bench_domain import collection_names, machine, options_parser, run_stages, seeds_of
from crosstune.data import read_collection
from crosstune.data.groups import read_groups
from crosstune.evaluate import compare, holm, per_query
from crosstune.files import read_json
from crosstune.records import Qrels
from crosstune.trec import read_run

MEASURE = "nDCG@10"
RESAMPLES, CHANCE = 10_000, 13
HYBRID = "[{first_stage: {kind: hybrid}, share: 1}]"
ARMS = {
    "default": (),
    "unfiltered": ("mine.near_copy=1",),
    "teacher": ("mine.teacher={default}/train/model",),
    "hybrid": (f"mine.further={HYBRID}",),
}
ROUNDS = {"round 2": ("mine.round=2",)}


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--rounds", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    arms = ARMS | (ROUNDS if options.rounds else {})
    names = collection_names(options)

    def do(name: str, seed: int) -> None:
        runs = options.runs / name / str(seed)
        for arm, changes in arms.items():
            _train(options.folder / name, runs, arm, changes, seed, options.overrides)

    turns = [(name, seed) for seed in seeds_of(options) for name in names]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(do, *zip(*turns, strict=True)))  # the list raises what a turn has raised

    rows = []
    for name in names:
        folders = [options.runs / name / str(seed) for seed in seeds_of(options)]
        rows.append(_row(read_collection(options.folder / name).qrels["dev"], folders, arms) | {"name": name})
    for arm in [arm for arm in arms if arm != "default"]:
        adjusted = holm({row["name"]: row["against"][arm]["p"] for row in rows})
        for row in rows:
            row["against"][arm]["p_holm"] = adjusted[row["name"]]
    if options.json:
        print(json.dumps({"machine": machine(), "command": sys.argv, "rows": rows}, indent=2))
    else:
        print(_table(rows, arms))


def _train(
    collection: Path, runs: Path, arm: str, changes: Sequence[str], seed: int, overrides: Sequence[str]
) -> None:
    run_dir = _run_dir(runs, arm)
    if arm == "round 2" and not run_dir.exists():
        shutil.copytree(runs / "default", run_dir)  # its round is the first of the two
    filled = [change.replace("{default}", str((runs / "default").absolute())) for change in changes]
    overrides = (f"seed={seed}", *overrides, *filled)
    run_stages(("retrieve", "mine"), collection, run_dir, *overrides)
    if arm == "default" or not _same_groups(runs, run_dir):
        run_stages(("train",), collection, run_dir, *overrides)


def _same_groups(runs: Path, run_dir: Path) -> bool:
    """Then training would repeat that of `default`."""
    groups, others = (read_groups(folder / "mine") for folder in (runs / "default", run_dir))
    return bool(groups == others)


def _run_dir(runs: Path, arm: str) -> Path:
    return runs / arm.replace(" ", "_")


def _trained(runs: Path, arm: str) -> Path:
    run_dir = _run_dir(runs, arm)
    return runs / "default" if _same_groups(runs, run_dir) else run_dir


def _row(qrels: Qrels, folders: Sequence[Path], arms: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    values = {arm: _by_query(qrels, [_trained(folder, arm) for folder in folders]) for arm in arms}
    against = {}
    for arm in [arm for arm in arms if arm != "default"]:
        found = compare(values["default"], values[arm], CHANCE, RESAMPLES)
        against[arm] = {name: getattr(found, name) for name in ("difference", "low", "high", "p")}
    return {
        "queries": len(values["default"]),
        "seeds": len(folders),
        **{arm: fmean(by_query.values()) for arm, by_query in values.items()},
        "start": fmean(_dev(folder / "default", "base") for folder in folders),
        "left_out": {arm: _left_out([_run_dir(folder, arm) for folder in folders]) for arm in arms},
        "against": against,
    }


def _by_query(qrels: Qrels, folders: Sequence[Path]) -> dict[str, float]:
    """By query the mean over those runs whose dev sample holds it."""
    values = defaultdict(list)
    for folder in folders:
        tuned = read_run(folder / "train" / "dev.tuned.trec")
        sampled = {query: qrels[query] for query in tuned}
        for query, value in per_query(sampled, tuned, [MEASURE])[MEASURE].items():
            values[query].append(value)
    return {query: fmean(found) for query, found in sorted(values.items())}


def _dev(folder: Path, system: str) -> float:
    return float(read_json(folder / "train" / "train.json")["dev"][system])


def _left_out(folders: Sequence[Path]) -> float:
    """The share of the candidates within the ranks, no positives, that mining left for what they are."""
    counts = [read_json(folder / "mine" / "mining.json")["candidates"] for folder in folders]
    left = sum(count[reason] for count in counts for reason in ("near_copy", "likely_positive", "doubtful"))
    inside = sum(count["seen"] - count["outside_ranks"] - count["judged_positive"] for count in counts)
    return float(left / inside)


def _table(rows: Sequence[Mapping[str, Any]], arms: Mapping[str, Sequence[str]]) -> str:
    others = [arm for arm in arms if arm != "default"]
    head = ["collection", "dev queries", "base's vectors", "default", *others]
    lines = [f"dev {MEASURE}, {machine()}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [row["name"], str(row["queries"]), f"{row['start']:.3f}", f"{row['default']:.3f}"]
        cells += [f"{row[arm]:.3f} ({_gain(row['against'][arm])})" for arm in others]
        lines.append("| " + " | ".join(cells) + " |")
    means = [fmean(row[arm] for row in rows) for arm in ("start", "default", *others)]
    return "\n".join([*lines, "| mean | | " + " | ".join(f"{mean:.3f}" for mean in means) + " |"])


def _gain(found: Mapping[str, float]) -> str:
    return f"{found['difference']:+.3f}, p = {found['p_holm']:.2g}"


if __name__ == "__main__":
    main()
