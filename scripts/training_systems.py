"""One turn of `bench_training.py`: a system trains on mined groups and tells what it took, as one JSON line.

python scripts/training_systems.py SYSTEM MINED OUT MODEL MAX_TOKENS STEPS GROUPS_A_STEP
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crosstune.data.mining import read_groups
from crosstune.device import device
from crosstune.models import resolve_model
from crosstune.records import Collection, Group
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import TrainSettings, train
from peer_training import WARMUP, PeerSettings, train_sentence_transformers

MAX_QUERY_TOKENS = 64
DOCS_A_GROUP = 8
SEED = 13
RATE = 2e-5
WARM_STEPS = 5


def main() -> None:
    system, mined, out, model, *numbers = sys.argv[1:]
    max_tokens, steps, groups_a_step = map(int, numbers)
    package, precision = system.rsplit(" ", 1)
    groups = [group for group in read_groups(Path(mined)) if len(group.docs) == DOCS_A_GROUP]
    groups = groups[: groups_a_step * steps]
    folder = Path(out)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.process_time()
    times = clock_steps()
    run = {"crosstune": _crosstune, "sentence-transformers": _sentence_transformers}[package]
    seconds = run(groups, model, max_tokens, groups_a_step, precision == "bf16", folder)
    used = time.process_time() - started
    pairs = sum(len(group.docs) for group in groups)
    mib = peak_mib()
    steady = _steady(times, groups_a_step * DOCS_A_GROUP)
    tokens, flops = _work(groups, model, max_tokens)
    print(
        json.dumps(
            {
                "pairs_per_second": pairs / seconds,
                "steady_pairs_per_second": steady,
                "processor_seconds": used,
                "gflops": flops / pairs * steady / 1e9,
                "peak_gflops": _peak(),
                "mib": mib,
                "tokens_a_pair": tokens / pairs,
            }
        )
    )


def clock_steps() -> list[float]:
    """The list that gets the time at the end of each step of any `transformers.Trainer`."""
    import torch
    from transformers.trainer_callback import CallbackHandler

    times: list[float] = []
    step_end = CallbackHandler.on_step_end

    def timed(*arguments: Any, **named: Any) -> Any:
        if device() == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter())
        return step_end(*arguments, **named)

    CallbackHandler.on_step_end = timed
    return times


def _steady(times: list[float], pairs: int) -> float:
    """Pairs a second without the first steps, evaluation and checkpoint."""
    return pairs * (len(times) - 1 - WARM_STEPS) / (times[-1] - times[WARM_STEPS])


def _crosstune(
    groups: Sequence[Group], model: str, max_tokens: int, groups_a_step: int, bf16: bool, folder: Path
) -> float:
    first = groups[0]
    dev = Collection(
        name="bench",
        passages=dict(zip(first.doc_ids, first.docs, strict=True)),
        queries={first.query_id: first.query},
        qrels={"dev": {first.query_id: dict(zip(first.doc_ids, first.labels, strict=True))}},
    )
    settings = TrainSettings(
        loss="bce",
        teacher="none",
        comparison=False,
        epochs=1,
        learning_rate=RATE,
        warmup=WARMUP,
        groups_per_step=groups_a_step,
        max_tokens=max_tokens,
        max_query_tokens=MAX_QUERY_TOKENS,
        precision="bf16" if bf16 else "fp32",
        evaluations=1,
    )
    candidates = {first.query_id: dict.fromkeys(first.doc_ids, 1.0)}
    trained = train(groups, dev, candidates, model, settings, SEED, folder).seconds
    return trained + _reading_seconds(groups, model, settings.length_rule)


def _reading_seconds(groups: Sequence[Group], model: str, rule: LengthRule) -> float:
    """crosstune tokenises before the first step, sentence-transformers between its steps."""
    from crosstune.train.batching import TokenizedGroups

    encoder = PairEncoder.from_folder(resolve_model(model), rule)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as kept:
        TokenizedGroups(groups, encoder, Path(kept)).cuts()
        return time.perf_counter() - started


def _sentence_transformers(
    groups: Sequence[Group], model: str, max_tokens: int, groups_a_step: int, bf16: bool, folder: Path
) -> float:
    settings = PeerSettings(
        max_tokens=max_tokens,
        batch=groups_a_step * DOCS_A_GROUP,
        epochs=1,
        seed=SEED,
        bf16=bf16,
        rate=RATE,
        save_strategy="epoch",
    )
    return train_sentence_transformers(groups, model, folder, settings)[1]


def _work(groups: Sequence[Group], model: str, max_tokens: int) -> tuple[int, float]:
    """Tokens without padding, and the floating point operations of forward and backward over them: two a
    weight of the layers' linear maps and, in attention, four a pair of tokens and a dimension; backward takes
    twice as many. The last layer is counted for every token."""
    import torch
    from transformers import AutoConfig, AutoModel

    base = resolve_model(model)
    config = AutoConfig.from_pretrained(base)
    with torch.device("meta"):
        body = AutoModel.from_config(config)
    weights = sum(
        module.weight.numel()
        for name, module in body.named_modules()
        if isinstance(module, torch.nn.Linear) and ".layer" in f".{name}"
    )
    encoder = PairEncoder.from_folder(base, LengthRule(max_tokens, MAX_QUERY_TOKENS))
    lengths = [
        len(pair) for pair in encoder.encode([(group.query, doc) for group in groups for doc in group.docs])
    ]
    attention = 4 * config.hidden_size * config.num_hidden_layers
    forward = sum(2 * weights * length + attention * length * length for length in lengths)
    return sum(lengths), 3.0 * forward


def peak_mib() -> float:
    """The most memory so far: on a GPU what torch had there, else the resident set."""
    import torch

    if device() == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _peak() -> float:
    """GFLOP/s of a large matrix product, the best of a few: fp32 on a CPU, bf16 on a GPU."""
    import torch

    size, dtype = {"cpu": (2048, torch.float32), "cuda": (8192, torch.bfloat16)}[device()]
    left, right = (torch.randn(size, size, device=device(), dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        started = time.perf_counter()
        (left @ right)[0, 0].item()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e9


if __name__ == "__main__":
    main()
