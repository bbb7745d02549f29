"""From a collection and the runs of its first stages to training groups, `mining.json` and the ledger."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from crosstune.data.groups import groups_writer
from crosstune.data.mining.draw import no_negatives
from crosstune.data.mining.judge import Scorers, Teacher
from crosstune.data.mining.ledger import LEDGER, REASONS, ledger_writer
from crosstune.data.mining.miner import Mined, Miner, Scores
from crosstune.data.settings import RERANKED, MiningSettings
from crosstune.errors import InputError
from crosstune.files import write_json
from crosstune.progress import progress, say
from crosstune.records import OF_UNKNOWN_DOCUMENTS, Collection

Positives = Sequence[tuple[str, str]]
"""(query id, document id), query by query."""
Spread = Callable[[Iterator[Positives]], Iterator[Mined]]
"""From the positives of a query each to what came of them, in this order; one `Mined` may be of several."""


@dataclass(frozen=True)
class MiningSummary:
    """What `mining.json` holds.

    `positives_not_retrieved`: of those that were mined, all but `UNSEEN`. `queries_without_positive`: judged
    train queries that have none in the corpus, so that no group can be mined for them.
    `candidates`: what became of every candidate that was seen for a group; the counts other than `seen` sum
    to it. `left_out`: positives that got no group, by reason. `ledger`: rows of the ledger by reason.
    `taken_from`: negatives taken by the first stage whose quota took them; `random` are those that none
    had retrieved.
    """

    round: int
    groups: int
    positives: int
    positives_not_retrieved: int
    queries_without_positive: int
    groups_with_fewer_negatives: int
    taken_from: dict[str, int]
    candidates: dict[str, int]
    left_out: dict[str, int]
    ledger: dict[str, int]


def mine(
    collection: Collection,
    run: Scores,
    settings: MiningSettings,
    seed: int,
    folder: Path,
    teacher: Teacher | None = None,
    *,
    further: Mapping[str, Scores] | None = None,
    model: Teacher | None = None,
) -> MiningSummary:
    """Writes `groups/` (Arrow), `ledger.parquet` and `mining.json` into `folder`.

    A negative is never judged relevant to its query and never a near copy of one of its positives. A
    group is not filled up: with fewer negatives at hand it is smaller, with none it is left out, and
    both are counted. What is drawn depends on the seed and the ids alone (with `max_uses` on the groups
    before as well). `teacher` is the model that `settings.teacher` names, `further` the runs of
    `settings.further` by their labels. `model` is what round 1 trained, in round 2: it denoises where there
    is no teacher, and its score decides which candidates are taken. Beside the collection, memory holds the
    candidates of one query at a time. Raises `InputError` for a collection without train positives, for a
    review that cannot be read and when no group is left.
    """
    names = [single.label for single in settings.further]
    runs = {RERANKED: run} | {name: (further or {})[name] for name in names}

    def one_by_one(queries: Iterator[Positives]) -> Iterator[Mined]:
        miner = Miner(collection, runs, settings, seed, Scorers(teacher, model))
        yield from map(miner.mined, queries)

    return mine_spread(collection, settings, seed, folder, one_by_one, 1 if model is None else 2)


def mine_spread(
    collection: Collection, settings: MiningSettings, seed: int, folder: Path, spread: Spread, round_: int
) -> MiningSummary:
    """As `mine`, with the queries mined by `spread`, wherever that is; what is written is in their order."""
    train = collection.qrels.get("train", {})
    positives = sorted((q, d) for q, judged in train.items() for d, grade in judged.items() if grade > 0)
    if not positives:
        raise InputError("the collection has no train positives (qrels/train.tsv); there is nothing to mine")
    drawn = _drawn(positives, settings, seed)
    kept = _of_share(drawn, settings.query_share, seed)
    names = [single.label for single in settings.further]
    counts: Counter[str] = Counter()
    candidates: Counter[str] = Counter()
    taken_from = no_negatives(settings)
    with (
        groups_writer(folder) as groups,
        ledger_writer(folder / LEDGER, names) as ledger,
        progress("mine, positives", len(kept)) as advance,
    ):
        for mined in spread(_by_query(kept)):
            for group in mined.groups:
                groups.add(group)
            for row in mined.rows:
                ledger.add(row)
            counts.update(mined.counts)
            candidates.update(mined.candidates)
            taken_from.update(mined.taken_from)
            advance(mined.positives)
        summary = MiningSummary(
            round=round_,
            groups=counts["groups"],
            positives=len(positives),
            positives_not_retrieved=counts["positives_not_retrieved"],
            queries_without_positive=_without_positive(collection),
            groups_with_fewer_negatives=counts["groups_with_fewer_negatives"],
            taken_from=dict(taken_from),
            candidates={name: candidates[name] for name in ("seen", "taken", *REASONS)},
            left_out={
                "no_negative": len(kept) - counts["positives_in_groups"],
                "over_max_groups": len(positives) - len(drawn),
                "outside_query_share": len(drawn) - len(kept),
            },
            ledger={name: ledger.rows[name] for name in ("taken", *REASONS)},
        )
        if not summary.groups:
            raise InputError(_nothing_left(summary))
    write_json(folder / "mining.json", asdict(summary))
    _show(summary)
    return summary


def _without_positive(collection: Collection) -> int:
    train = collection.qrels.get("train", {})
    judged = sum(max(grades.values(), default=0) <= 0 for grades in train.values())
    return judged + collection.counts.get(f"train_queries_{OF_UNKNOWN_DOCUMENTS}", 0)


def _by_query(positives: Positives) -> Iterator[Positives]:
    for _, pairs in groupby(positives, key=lambda pair: pair[0]):
        yield list(pairs)


def _drawn(positives: list[tuple[str, str]], settings: MiningSettings, seed: int) -> list[tuple[str, str]]:
    """The (query id, document id) of the positives whose groups `max_groups` leaves, in order."""
    if settings.max_groups is None:
        return positives
    draw = random.Random(seed)
    if settings.group_by == "positive":
        return sorted(draw.sample(positives, min(settings.max_groups, len(positives))))
    queries = list(dict.fromkeys(query_id for query_id, _ in positives))
    kept = set(draw.sample(queries, min(settings.max_groups, len(queries))))
    return [pair for pair in positives if pair[0] in kept]


def _of_share(positives: list[tuple[str, str]], share: float, seed: int) -> list[tuple[str, str]]:
    """Those of the first queries in an order that the seed alone decides: what a smaller share keeps, a
    larger one keeps as well."""
    queries = list(dict.fromkeys(query_id for query_id, _ in positives))
    order = random.Random(f"{seed}\0query_share").sample(queries, len(queries))
    kept = set(order[: math.ceil(share * len(order))])
    return [pair for pair in positives if pair[0] in kept]


UNSEEN = ("over_max_groups", "outside_query_share")
"""Positives that mining never looked at."""
ADVICE = {
    "outside_ranks": "raise mine.last_rank (or lower mine.first_rank)",
    "other_split": "set mine.own_split to false",
    "likely_positive": "raise mine.likely_positive, or name another mine.teacher",
    "doubtful": "raise mine.likely_negative, or name another mine.teacher",
    "margin": "lower mine.margin and mine.relative_margin",
    "near_copy": "raise mine.near_copy",
}


def _nothing_left(summary: MiningSummary) -> str:
    """The message for no group at all: what to do about the two reasons for which most candidates were left,
    since those outside the ranks are often the most and not what is in the way."""
    reasons = [reason for reason in ADVICE if summary.candidates[reason]]
    reasons.sort(key=lambda reason: -summary.candidates[reason])
    advice = ", or ".join(ADVICE[reason] for reason in reasons[:2])
    advice = advice or (
        "the first stage finds nothing else for these queries: set mine.random_negatives, which takes "
        "passages that were not retrieved"
    )
    left = {reason: count for reason, count in summary.candidates.items() if count}
    return (
        f"no group could be mined from {summary.positives} train positives: {left or 'no candidates'}; "
        f"{advice}, or check the first stage"
    )


def _show(summary: MiningSummary) -> None:
    mined = summary.positives - sum(summary.left_out[reason] for reason in UNSEEN)
    of = "" if mined == summary.positives else f" of {summary.positives}"
    say(
        f"  {summary.groups} groups from {mined}{of} positives "
        f"({summary.positives_not_retrieved} of these {mined} not retrieved), "
        f"{summary.groups_with_fewer_negatives} with fewer negatives than asked"
    )
    sources = {source: count for source, count in summary.taken_from.items() if count}
    if len(sources) > 1:
        say("  negatives from: " + ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in sources.items()))
    always = ("seen", "taken", "judged_positive", "outside_ranks", "near_copy", "not_drawn")
    shown = {k: n for k, n in summary.candidates.items() if n or k in always}
    say("  candidates: " + ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in shown.items()))
    if summary.queries_without_positive:
        say(f"  {summary.queries_without_positive} judged train queries have no positive in the corpus")
    left = {reason: count for reason, count in summary.left_out.items() if count}
    if left:
        say("  positives left out: " + ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in left.items()))
