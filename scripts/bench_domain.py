"""The domain recipe over several BEIR folders, as one table: first stage, base, tuned, what the export
recommends (with the first stage's score where that was kept), ceiling.

    python scripts/bench_domain.py COLLECTIONS_FOLDER [KEY=VALUE ...] [--only NAME ...] [--seeds 3] [--json]

COLLECTIONS_FOLDER holds one BEIR folder a collection. Every figure is on the test split, the mean over
the seeds; a run that is up to date is not done again.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from crosstune.files import read_json
from crosstune.machine import cpu_name

STAGES = ("retrieve", "mine", "train", "evaluate")
FIRST_SEED = 13
SYSTEMS = ("first_stage", "base", "tuned", "recommended", "ceiling")


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()

    rows = []
    for name in collection_names(options):
        runs = [
            run_domain(options.folder / name, seed, options.runs / name / str(seed), options.overrides)
            for seed in seeds_of(options)
        ]
        rows.append(_row(name, runs))
        print(_line(rows[-1]), file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"machine": machine(), "command": sys.argv, "rows": rows}, indent=2))
    else:
        print(_table(rows))


def options_parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"))
    parser.add_argument("--json", action="store_true")
    return parser


def collection_names(options: argparse.Namespace) -> list[str]:
    found = sorted(path.parent.name for path in options.folder.glob("*/corpus.jsonl"))
    if absent := [name for name in options.only if name not in found]:
        sys.exit(f"--only {' '.join(absent)}: no collection of {options.folder}; it has {', '.join(found)}")
    return options.only or found


def seeds_of(options: argparse.Namespace) -> range:
    return range(FIRST_SEED, FIRST_SEED + options.seeds)


def run_domain(collection: Path, seed: int, run_dir: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The run's `metrics.json`, and the seconds that its stages took; nothing is exported. A training that
    was interrupted counts from where it went on."""
    run_stages(STAGES, collection, run_dir, f"seed={seed}", *overrides)
    metrics: dict[str, Any] = read_json(run_dir / "evaluate" / "metrics.json")
    stamps = [read_json(path) for path in (run_dir / ".stages").glob("*.json")]
    return metrics | {"seconds": sum(stamp["seconds"] for stamp in stamps)}


def run_stages(stages: Sequence[str], collection: Path, run_dir: Path, *overrides: str) -> None:
    recipe = ("domain", f"collection=beir:{collection}", f"run_dir={run_dir}", *overrides)
    for stage in stages:
        command = [sys.executable, "-m", "crosstune.cli", stage, *recipe]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
            sys.exit(f"{' '.join(recipe)}: the stage {stage} failed; its message is above")


def _row(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    ndcg = {system: [_ndcg(run, system) for run in runs] for system in SYSTEMS}
    row: dict[str, Any] = {"collection": name, "seeds": len(runs)}
    row |= {system: statistics.mean(values) for system, values in ndcg.items()}
    row["recommended_by_seed"] = ndcg["recommended"]
    row["fused"] = [run["recommended"] == "fused" for run in runs]
    row["seconds"] = statistics.median(run["seconds"] for run in runs)
    return row


def _ndcg(run: dict[str, Any], system: str) -> float:
    name = run["recommended"] if system == "recommended" else system
    return float(run["splits"]["test"][name]["nDCG@10"])


def _line(row: dict[str, Any]) -> str:
    figures = " | ".join(f"{row[system]:.3f}" for system in SYSTEMS)
    by_seed = " ".join(f"{value:.3f}" for value in row["recommended_by_seed"])
    return f"| {row['collection']} | {figures} | {by_seed} | {row['seconds'] / 60:.1f} |"


def _table(rows: list[dict[str, Any]]) -> str:
    head = (
        "| collection | first stage | base | tuned | recommended | ceiling | the same by seed | minutes |\n"
        + "|---" * 8
        + "|"
    )
    return "\n".join([f"test nDCG@10, {machine()}", "", head, *map(_line, rows)])


def machine(*packages: str) -> str:
    """What a figure was measured on and with."""
    versions = [f"{name} {version(name)}" for name in packages]
    python = f"Python {platform.python_version()}"
    return ", ".join([time.strftime("%Y-%m-%d"), python, cpu_name(), *versions])


if __name__ == "__main__":
    main()
