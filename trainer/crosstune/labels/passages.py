"""Which passages get queries."""

from __future__ import annotations

import random
from dataclasses import dataclass

from crosstune.labels.folder import Labelled
from crosstune.records import Split


@dataclass(frozen=True)
class Chosen:
    """`doc_ids`: in the order in which they are asked for; `left_out`: passages by reason."""

    doc_ids: list[str]
    left_out: dict[str, int]


def choose_passages(source: Labelled, count: int | None, seed: int, *, evaluation: bool) -> Chosen:
    """`count` passages drawn by seed, or all of them in such an order.

    Left out are passages without a text and, without `evaluation`, those that dev or test judges relevant: a
    query that is written for one of them is close to a query of the evaluation.
    """
    collection = source.collection
    evaluated: tuple[Split, ...] = ("dev", "test")
    judged = {
        doc_id
        for split in evaluated
        for judgements in source.by_people(split).values()
        for doc_id, grade in judgements.items()
        if grade > 0
    }
    left_out = {"empty": 0, "relevant_in_dev_or_test": 0, "not_drawn": 0}
    usable = []
    for doc_id, text in sorted(collection.passages.items()):
        if not text.strip():
            left_out["empty"] += 1
        elif doc_id in judged and not evaluation:
            left_out["relevant_in_dev_or_test"] += 1
        else:
            usable.append(doc_id)
    wanted = len(usable) if count is None else min(count, len(usable))
    left_out["not_drawn"] = len(usable) - wanted
    return Chosen(random.Random(seed).sample(usable, len(usable))[:wanted], left_out)
