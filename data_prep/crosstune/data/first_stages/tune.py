"""k1 and b of BM25, by trying a grid of them on one split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crosstune.data.first_stages.bm25 import Bm25, build, tokenized
from crosstune.data.first_stages.checks import Checker
from crosstune.data.first_stages.summary import recall
from crosstune.errors import InputError
from crosstune.progress import progress
from crosstune.records import Collection, Qrels, Run, Split

if TYPE_CHECKING:
    from crosstune.data.first_stages.settings import FirstStageSettings

K1 = (0.4, 0.6, 0.9, 1.2, 1.6, 2.0)
B = (0.0, 0.2, 0.4, 0.6, 0.75, 0.9)


@dataclass(frozen=True)
class Trial:
    """`value`: the measure asked for; `recall`: R@depth, the share that a reranker can still reach."""

    k1: float
    b: float
    value: float
    recall: float


def tune(
    collection: Collection,
    settings: FirstStageSettings,
    measure: Callable[[Qrels, Run], float],
    split: Split = "dev",
) -> list[Trial]:
    """All trials, best first: by `measure`, then by recall; at a tie the recipe's own settings lead.

    Raises `InputError` for another kind than bm25 and for a collection without the split.
    """
    if settings.kind != "bm25":
        raise InputError(
            f"--tune: first_stage.kind is {settings.kind}; k1 and b are tuned, which bm25 alone has"
        )
    qrels = collection.qrels.get(split)
    if not qrels:
        raise InputError(
            f"--tune: the collection has no {split} split (qrels/{split}.tsv), and tuning on the test "
            "split would flatter the result"
        )
    queries = {query_id: collection.queries[query_id] for query_id in qrels}
    tokens = tokenized(collection, settings)
    pairs = list(dict.fromkeys([(settings.k1, settings.b), *((k1, b) for k1 in K1 for b in B)]))
    trials = []
    with progress(f"BM25 settings on {split}", len(pairs)) as advance:
        for k1, b in pairs:
            stage = Bm25(collection, settings, build(tokens, k1, b))
            found = stage.search(queries, settings.depth)
            run = Checker(collection, settings.depth, "bm25").check(found, queries)
            trials.append(Trial(k1, b, measure(qrels, run), recall(qrels, run, settings.depth)))
            advance(1)
    return sorted(trials, key=lambda trial: (-trial.value, -trial.recall))
