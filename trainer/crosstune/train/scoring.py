"""Scoring first-stage candidates with a torch model."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from crosstune.device import is_out_of_memory, no_room
from crosstune.progress import progress
from crosstune.records import Qrels, Run, ranking
from crosstune.serve.pairs import EncodedPair, PairEncoder, model_input_names, token_budget_batches
from crosstune.serve.windows import Best, best_windows
from crosstune.train.batching import halves, model_inputs
from crosstune.train.packed import packed

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}
"""Token slots of a forward pass; what has no room is halved."""


def score_pairs(
    model: PreTrainedModel, encoder: PairEncoder, pairs: Sequence[tuple[str, str]]
) -> list[float]:
    """fp32 logits of `(query, passage)` pairs, in the order given, whatever their batches."""
    return [best.logit for best in score_encoded(model, encoder.encode(pairs))]


@torch.inference_mode()
def score_encoded(model: PreTrainedModel, pairs: Sequence[EncodedPair]) -> Iterator[Best]:
    """The fp32 logit of each pair, and which of its windows has it."""
    rows = [window for pair in pairs for window in pair.windows]
    device = model.device
    logits = torch.empty(len(rows))
    budget = BATCH_TOKENS.get(device.type, BATCH_TOKENS["cpu"])
    with packed(model):
        for batch in token_budget_batches([len(row) for row in rows], budget):
            inputs = model_inputs(
                [rows[i] for i in batch], model.config.pad_token_id, model_input_names(model.config)
            )
            logits[batch] = _logits(model, {name: tensor.to(device) for name, tensor in inputs.items()})
    return best_windows(logits.tolist(), [len(pair.windows) for pair in pairs])


def _logits(model: PreTrainedModel, inputs: dict[str, Tensor]) -> Tensor:
    """`[pairs]`, fp32, on the CPU. A batch that a GPU has no room for is scored in two halves. Raises
    `CheckFailed` where it has none for one pair."""
    try:
        logits: Tensor = model(**inputs).logits[:, 0].float().cpu()
        return logits
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        rows, tokens = inputs["input_ids"].shape
        if rows == 1:
            raise no_room(tokens) from None
    return torch.cat([_logits(model, half) for half in halves(inputs)])


@dataclass(frozen=True)
class ScoredRun:
    """A run over exactly the candidates that were given, the median time of one query, and the type of device
    that it ran on."""

    run: Run
    milliseconds: float
    device: str = "cpu"


def score_run(
    model: PreTrainedModel,
    encoder: PairEncoder,
    candidates: Run,
    queries: Mapping[str, str],
    passages: Mapping[str, str],
    label: str,
) -> ScoredRun:
    """Scores every candidate of every query, a query at a time."""
    run: Run = {}
    seconds: list[float] = []
    with progress(label, len(candidates)) as advance:
        for query_id, scores in candidates.items():
            started = time.perf_counter()
            logits = score_pairs(model, encoder, [(queries[query_id], passages[doc_id]) for doc_id in scores])
            run[query_id] = dict(zip(scores, logits, strict=True))
            seconds.append(time.perf_counter() - started)
            advance(1)
    milliseconds = 1000 * statistics.median(seconds) if seconds else 0.0
    return ScoredRun(run, milliseconds, model.device.type)


def top(candidates: Run, depth: int) -> Run:
    """The best `depth` candidates of each query."""
    return {
        query_id: {doc_id: scores[doc_id] for doc_id in ranking(scores)[:depth]}
        for query_id, scores in candidates.items()
    }


def drawn_lists(qrels: Qrels, candidates: Run, count: int, depth: int, seed: int) -> Run:
    """The best `depth` candidates of `count` judged queries, drawn by `seed`; the first of them are what a
    smaller `count` draws. A query that the first stage answered with nothing stays, and counts 0."""
    judged = sorted(qrels)
    drawn = random.Random(seed).sample(judged, len(judged))
    return top({query_id: candidates.get(query_id, {}) for query_id in drawn[:count]}, depth)
