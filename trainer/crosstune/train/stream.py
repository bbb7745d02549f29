"""Pairs as a stream: read, repeated, shuffled in a buffer, tokenised when they are drawn."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch.utils.data import IterableDataset

from crosstune.errors import InputError
from crosstune.records import Example
from crosstune.serve.pairs import EncodedPair, PairEncoder, token_budget_batches
from crosstune.train.batching import model_inputs, share

AT_ONCE = 512
"""Pairs that are tokenised together, on all cores."""
Examples = Callable[[], Iterator[Example]]
"""Opens the source: yields its examples from the first to the last, once."""


class PairStream(IterableDataset[dict[str, Any]]):
    """Endless tokenised examples in an order that depends on the seed alone.

    As in the original, the source is repeated and then shuffled: each next example is drawn from `buffer`
    pairs. `skip` leaves out so many from the beginning, untokenised: what training has seen before a kill.
    `counts` holds the pairs that were drawn and the texts that were cut.
    """

    def __init__(
        self, examples: Examples, encoder: PairEncoder, *, buffer: int, seed: int, skip: int = 0
    ) -> None:
        self._examples = examples
        self._encoder = encoder
        self._buffer = buffer
        self._seed = seed
        self._skip = skip
        self.counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        drawn = shuffled(repeated(self._examples), self._buffer, random.Random(self._seed))
        wanted = islice(drawn, self._skip, None)
        while some := list(islice(wanted, AT_ONCE)):
            pairs = self._encoder.encode([(query, passage) for query, passage, _ in some])
            for pair, (_, _, label) in zip(pairs, some, strict=True):
                self.counts["pairs"] += 1
                self.counts["queries_cut"] += pair.cut_query > 0
                self.counts["passages_cut"] += pair.cut_passage > 0
                yield {"pair": pair, "label": label}


def repeated(examples: Examples) -> Iterator[Example]:
    """The source again and again. Raises `InputError` when it is empty."""
    while True:
        example = None
        for example in examples():
            yield example
        if example is None:
            raise InputError("the training data holds no example")


def shuffled(examples: Iterator[Example], size: int, rng: random.Random) -> Iterator[Example]:
    """Each next one is drawn from a buffer of `size`, and its place taken by the next of `examples`."""
    buffer = list(islice(examples, size))
    for example in examples:
        place = rng.randrange(len(buffer))
        yield buffer[place]
        buffer[place] = example
    rng.shuffle(buffer)
    yield from buffer


@dataclass(frozen=True)
class PairCollator:
    """Rows of `PairStream` -> `micro_batches`, longest pairs first and each padded to its own longest, and
    `labels`: int64 `[pairs]` in the order of their rows. Of several processes each has its `share`."""

    pad_id: int
    micro_batch_tokens: int
    input_names: Sequence[str]

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        rows = [rows[i] for i in share([len(row["pair"]) for row in rows])]
        pairs: list[EncodedPair] = [row["pair"] for row in rows]
        batches = list(token_budget_batches([len(pair) for pair in pairs], self.micro_batch_tokens))
        return {
            "micro_batches": [
                model_inputs([pairs[i] for i in batch], self.pad_id, self.input_names) for batch in batches
            ],
            "labels": torch.tensor([rows[i]["label"] for batch in batches for i in batch]),
        }
