"""What the doctor knows before the first step: the plan, and what the groups look like to the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crosstune.near_equal import find_equal
from crosstune.records import Collection, Group, Run
from crosstune.train.doctor.leaks import Leaks, look_for_leaks
from crosstune.train.doctor.thresholds import LEAST_PASSAGE_TOKENS, LOOKED_AT

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from crosstune.serve.pairs import EncodedPair
    from crosstune.train.batching import TokenizedGroups
    from crosstune.train.config import TrainSettings
    from crosstune.train.loss_kinds import LossName


@dataclass(frozen=True)
class Plan:
    """The settings that a diagnosis may speak of, and the steps. `adapters_rate`: that of LoRA's adapters,
    where it was set."""

    loss: LossName
    teacher: str
    learning_rate: float
    epochs: float
    groups_per_step: int
    max_tokens: int
    max_query_tokens: int
    steps: int
    warmup_steps: int
    adapters_rate: float | None = None

    @property
    def rate(self) -> tuple[str, float]:
        """The key that sets how fast the encoder is trained, and its value."""
        if self.adapters_rate is not None:
            return "train.lora.learning_rate", self.adapters_rate
        return "train.learning_rate", self.learning_rate


@dataclass(frozen=True)
class DataSigns:
    """Of `groups` groups, `looked_at` were looked at, with `pairs` pairs. Of these groups: `one_class` have
    one grade alone, in `equal_texts` a document of the best grade has the text of a lower one, or nearly so,
    in `equal_inputs` the model gets the same ids for both. Of the pairs, `starved` keep next to nothing of a
    passage that was cut.

    Over the pairs of two grades, and `None` without any: `longer`, the share in which the better document is
    the longer one, and `teacher_agrees`, the share in which the teacher sets it higher; equal count half.
    """

    groups: int
    looked_at: int
    pairs: int
    one_class: int
    equal_texts: int
    equal_inputs: int
    starved: int
    longer: float | None
    teacher_agrees: float | None
    leaks: Leaks = field(default_factory=Leaks)


def plan(settings: TrainSettings, arguments: TrainingArguments) -> Plan:
    return Plan(
        settings.loss,
        settings.teacher,
        float(arguments.learning_rate),
        settings.epochs,
        settings.groups_per_step,
        settings.max_tokens,
        settings.max_query_tokens,
        int(arguments.max_steps),
        int(arguments.get_warmup_steps(arguments.max_steps)),
        settings.lora.learning_rate,
    )


def look_at(groups: Sequence[Group], data: TokenizedGroups, collection: Collection, dev: Run) -> DataSigns:
    """`data`: the same groups, tokenised; `dev`: the queries of evaluations, with their candidates."""
    every = max(1, math.ceil(len(groups) / LOOKED_AT))
    seen = range(0, len(groups), every)
    pairs = one_class = equal_texts = equal_inputs = starved = 0
    longer: list[float] = []
    agrees: list[float] = []
    for index in seen:
        group, encoded = groups[index], data[index]["pairs"]
        lengths = [data.tokens(doc) for doc in group.docs]
        pairs += len(encoded)
        starved += sum(
            pair.cut_passage > 0 and length - pair.cut_passage < LEAST_PASSAGE_TOKENS
            for pair, length in zip(encoded, lengths, strict=True)
        )
        best = max(group.labels)
        low = [place for place, label in enumerate(group.labels) if label < best]
        high = [place for place, label in enumerate(group.labels) if label == best]
        one_class += not low
        equal_texts += _equal_texts(group, high, low)
        inputs = {_ids(encoded[place]) for place in low}
        equal_inputs += any(_ids(encoded[place]) in inputs for place in high)
        compared = [(better, worse) for better in high for worse in low]
        longer += _ahead(lengths, compared)
        scores = [score for score in group.teacher_scores if score is not None]
        if len(scores) == len(group.docs):
            agrees += _ahead(scores, compared)
    return DataSigns(
        len(groups),
        len(seen),
        pairs,
        one_class,
        equal_texts,
        equal_inputs,
        starved,
        _mean(longer),
        _mean(agrees),
        look_for_leaks(groups, groups[::every], collection, dev),
    )


def _ids(pair: EncodedPair) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(window.input_ids) for window in pair.windows)


def _equal_texts(group: Group, high: Iterable[int], low: Sequence[int]) -> bool:
    if not low:
        return False
    known = {str(place): group.docs[place] for place in low}
    equal, near = find_equal(known, {str(place): group.docs[place] for place in high})
    return bool(equal or near)


def _ahead(values: Sequence[float], pairs: Iterable[tuple[int, int]]) -> list[float]:
    """For each pair of places 1 where the first has the higher value, 0.5 where both are equal, else 0."""
    return [(values[a] > values[b]) + 0.5 * (values[a] == values[b]) for a, b in pairs]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
