"""Training speed and memory against sentence-transformers' trainer on the same pairs, in one alternating run.

    python scripts/bench_training.py COLLECTION... [--max-tokens 128] [--steps 60] [--rounds 3] [--json]
        [--base minilm|bert-base|bert-large|modernbert-base] [--groups-per-step 2]

COLLECTION is a BEIR folder. Its train split is mined by the `domain` recipe (groups of 1 + 7); every system
then trains the base with a fresh head on the same groups by binary cross-entropy, two groups (16 pairs) a
step, each turn in a process of its own, on the GPU where there is one. Bases other than MiniLM have random
weights and its tokenizer: speed does not depend on either. `pairs_per_second` is the median of the turns, of
what both report as `train_runtime`; memory is the largest resident set of a turn, on a GPU what torch took
there. `steady` leaves out the first five steps, evaluation and the checkpoint, and ratios are to the first
system of the list. `peak_share` is the useful arithmetic of the steady steps (tokens without padding, forward
and backward) over that of a large matrix product measured in the same turn, fp32 on a CPU and bf16 on a GPU.

    pip install 'crosstune[train]' sentence-transformers
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from bench_domain import run_stages
from crosstune.device import device, device_name
from crosstune.machine import cores, cpu_name
from random_bases import BASES, base_folder
from training_systems import WARM_STEPS

SYSTEMS = tuple(
    f"{package} {precision}"
    for precision in ("fp32", "bf16")
    for package in ("sentence-transformers", "crosstune")
)
PACKAGES = ("torch", "transformers", "sentence-transformers", "accelerate", "tokenizers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("collections", nargs="+", type=Path, metavar="COLLECTION")
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base", choices=BASES, default=BASES[0])
    parser.add_argument("--groups-per-step", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=SYSTEMS, metavar="SYSTEM")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.steps < WARM_STEPS + 2:
        parser.error(
            f"--steps {options.steps}: {WARM_STEPS + 2} or more, the first {WARM_STEPS} are not timed"
        )
    result = {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv,
        "machine": {
            "device": device_name(device()),
            "cpu": cpu_name(),
            "cores": cores(),
            "load": os.getloadavg(),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "collections": {path.name: _collection(path, options) for path in options.collections},
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, rows in result["collections"].items():
        print(_table(name, rows))
    print(json.dumps({key: result[key] for key in ("when", "machine", "versions")}))


def _collection(path: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as scratch:
        mined = Path(scratch) / "run"
        run_stages(("retrieve", "mine"), path, mined)
        model = base_folder(options.base, Path(scratch) / "base")
        turns: dict[str, list[dict[str, float]]] = {system: [] for system in options.only}
        for round_ in range(options.rounds):
            # Who comes first changes: a machine that slows down hits all alike.
            shift = round_ % len(options.only)
            for system in [*options.only[shift:], *options.only[:shift]]:
                turns[system].append(_turn(system, mined, model, options, Path(scratch) / "out"))
                print(f"{path.name} {system}: {turns[system][-1]}", file=sys.stderr, flush=True)
    rows = {system: _row(found) for system, found in turns.items()}
    base = rows[options.only[0]]
    for row in rows.values():
        for name, key in (("ratio", "pairs_per_second"), ("steady_ratio", "steady_pairs_per_second")):
            row[name] = round(row[key] / base[key], 2)
    return rows


def _turn(system: str, mined: Path, model: str, options: argparse.Namespace, out: Path) -> dict[str, float]:
    worker = Path(__file__).with_name("training_systems.py")
    numbers = map(str, (options.max_tokens, options.steps, options.groups_per_step))
    command = [sys.executable, str(worker), system, str(mined / "mine"), str(out), model, *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{system} failed:\n{done.stderr[-4000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(turns: list[dict[str, float]]) -> dict[str, float]:
    return {
        "pairs_per_second": round(statistics.median(turn["pairs_per_second"] for turn in turns), 2),
        "steady_pairs_per_second": round(
            statistics.median(turn["steady_pairs_per_second"] for turn in turns), 2
        ),
        "processor_seconds": round(statistics.median(turn["processor_seconds"] for turn in turns), 2),
        "peak_share": round(statistics.median(turn["gflops"] / turn["peak_gflops"] for turn in turns), 3),
        "peak_gflops": round(statistics.median(turn["peak_gflops"] for turn in turns), 1),
        "mib": round(max(turn["mib"] for turn in turns)),
        "tokens_a_pair": round(turns[0]["tokens_a_pair"], 1),
    }


def _table(name: str, rows: dict[str, dict[str, float]]) -> str:
    lines = [
        f"{name:28s} {'pairs/s':>8s} {'ratio':>6s} {'steady':>8s} {'ratio':>6s} {'of peak':>8s} {'MiB':>6s}"
    ]
    for system, row in rows.items():
        lines.append(
            f"{system:28s} {row['pairs_per_second']:8.1f} {row['ratio']:6.2f} "
            f"{row['steady_pairs_per_second']:8.1f} {row['steady_ratio']:6.2f} {row['peak_share']:8.0%} "
            f"{row['mib']:6.0f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
