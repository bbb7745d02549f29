"""What the reproduction of Nogueira & Cho costs on this machine: seconds a training step, pairs a second.

    python scripts/bench_reproduction.py [--base bert-base] [--steps 100] [--pairs 4096] [--json]

A step is the recipe's: 128 pairs, its optimizer and dropout, in the given precisions. Scoring is in fp32, as
the recipe's. Weights are random and texts are drawn words, a query of 4 to 12 and a passage of 45 to 105
wordpieces: MS MARCO's pairs are near 85 tokens. `hours` are those of 100,000 steps and of 6,668,967 pairs.

    pip install 'crosstune[train]'
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crosstune.device import device, device_name
from crosstune.models import resolve_model
from crosstune.records import Example
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train.model import load_scorer
from crosstune.train.pointwise import train_pointwise
from crosstune.train.pointwise_config import PointwiseSettings
from crosstune.train.scoring import score_pairs
from random_bases import BASES, base_folder
from training_systems import clock_steps

STEPS, CANDIDATES = 100_000, 6_668_967
WARM_UP = 10
SEED = 13


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", choices=BASES, default="bert-base")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=4096)
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = base_folder(options.base, Path(scratch) / "base")
        result: dict[str, Any] = {"device": device_name(device()), "base": options.base}
        for precision in options.precision:
            seconds = _step(model, precision, options.steps, Path(scratch))
            result[f"step_{precision}"] = {"seconds": seconds, "hours": seconds * STEPS / 3600}
        rate = _scoring(model, options.pairs)
        result["scoring_fp32"] = {"pairs_per_second": rate, "hours": CANDIDATES / rate / 3600}
    print(json.dumps(result, indent=2) if options.json else result)


def _step(model: str, precision: str, steps: int, scratch: Path) -> float:
    """Seconds a step, without the first ones and the checkpoint at the end."""
    times = clock_steps()
    settings = PointwiseSettings(
        steps=WARM_UP + steps, warmup_steps=1, precision=precision, checkpoint_steps=10**6
    )
    folder = scratch / precision
    folder.mkdir()
    train_pointwise(_examples, model, settings, SEED, folder)
    return (times[-1] - times[WARM_UP - 1]) / steps


def _scoring(model: str, count: int) -> float:
    rule = LengthRule(512, 64)
    folder = resolve_model(model)
    network = load_scorer(folder, rule, SEED)
    encoder = PairEncoder.from_folder(folder, rule)
    pairs = [(query, passage) for (query, passage, _), _ in zip(_examples(), range(count), strict=False)]
    score_pairs(network, encoder, pairs[:256])
    started = time.perf_counter()
    score_pairs(network, encoder, pairs)
    return count / (time.perf_counter() - started)


def _examples() -> Iterator[Example]:
    rng = random.Random(SEED)
    words = "the of and to search passage water river music history number cell energy city".split()  # noqa: SIM905
    while True:
        for label in (1, 0):
            yield Example(
                " ".join(rng.choices(words, k=rng.randint(4, 12))),
                " ".join(rng.choices(words, k=rng.randint(45, 105))),
                label,
            )


if __name__ == "__main__":
    main()
