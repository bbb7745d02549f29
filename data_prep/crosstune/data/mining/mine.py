"""From a collection and the runs of its first stages to training groups, `mining.json` and the ledger."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from crosstune.data.groups import groups_writer
from crosstune.data.mining.answers import Answers, read_answers
from crosstune.data.mining.draw import Drawer
from crosstune.data.mining.judge import QueryJudge, Scorers, Teacher
from crosstune.data.mining.ledger import LEDGER, REASONS, LedgerWriter, ledger_writer
from crosstune.data.settings import RERANKED, MiningSettings
from crosstune.errors import InputError
from crosstune.files import write_json
from crosstune.progress import progress, say
from crosstune.records import Collection, Group

Scores = Mapping[str, Mapping[str, float]]
"""query id -> document id -> score; a `Run`, or a `StoredRun` that holds one query at a time."""


@dataclass(frozen=True)
class MiningSummary:
    """What `mining.json` holds.

    `candidates`: what became of every candidate that was seen for a group; the counts other than `seen`
    sum to it. `left_out`: positives that got no group, by reason. `ledger`: rows of the ledger by reason.
    `taken_from`: negatives taken by the first stage whose quota took them; `random` are those that none
    had retrieved.
    """

    round: int
    groups: int
    positives: int
    positives_not_retrieved: int
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
    train = collection.qrels.get("train", {})
    positives = sorted((q, d) for q, judged in train.items() for d, grade in judged.items() if grade > 0)
    if not positives:
        raise InputError("the collection has no train positives (qrels/train.tsv); there is nothing to mine")
    drawn = _drawn(positives, settings, seed)
    kept = _of_share(drawn, settings.query_share, seed)
    names = [single.label for single in settings.further]
    runs = {RERANKED: run} | {name: (further or {})[name] for name in names}
    with groups_writer(folder) as groups, ledger_writer(folder / LEDGER, names) as ledger:
        miner = _Miner(collection, runs, settings, seed, Scorers(teacher, model), ledger)
        for group in miner.groups(kept):
            groups.add(group)
        counts, drawer = miner.counts, miner.drawer
        summary = MiningSummary(
            round=1 if model is None else 2,
            groups=counts["groups"],
            positives=len(positives),
            positives_not_retrieved=counts["positives_not_retrieved"],
            groups_with_fewer_negatives=counts["groups_with_fewer_negatives"],
            taken_from=dict(drawer.taken_from),
            candidates={name: drawer.counts[name] for name in ("seen", "taken", *REASONS)},
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


class _Miner:
    def __init__(
        self,
        collection: Collection,
        runs: Mapping[str, Scores],
        settings: MiningSettings,
        seed: int,
        scorers: Scorers,
        ledger: LedgerWriter,
    ) -> None:
        self._collection = collection
        self._runs = runs
        self._settings = settings
        self._scorers = scorers
        self._ledger = ledger
        self._answers = _answers(settings)
        self._foreign = _foreign(collection) if settings.own_split else set()
        self.drawer = Drawer(settings, seed, sorted(collection.passages))
        self.counts: Counter[str] = Counter()

    def groups(self, positives: list[tuple[str, str]]) -> Iterator[Group]:
        with progress("mine, positives", len(positives)) as advance:
            for query_id, pairs in groupby(positives, key=lambda pair: pair[0]):
                ids = [doc_id for _, doc_id in pairs]
                yield from self._groups_of_query(query_id, ids)
                advance(len(ids))

    def _groups_of_query(self, query_id: str, positives: list[str]) -> Iterator[Group]:
        judge = QueryJudge(
            self._collection, self._settings, self._answers, self._scorers, query_id, self._foreign
        )
        found = {source: run.get(query_id, {}) for source, run in self._runs.items()}
        candidates = judge.retrieved(found)
        known = {candidate.doc_id: candidate for candidate in candidates}
        for together in self._together(query_id, positives):
            negatives = self.drawer.retrieved(query_id, together[0], candidates)
            negatives += self.drawer.random(query_id, together[0], judge, known)
            if negatives:
                logits: list[float | None] = [None] * (len(together) + len(negatives))
                if self._settings.distill_teacher:
                    logits = [judge.teach(positive) for positive in together]
                    logits += [candidate.teacher_logit for candidate in negatives]
                self._count(together, len(negatives))
                yield self._group(query_id, together, [c.doc_id for c in negatives], found[RERANKED], logits)
        self.counts["positives_not_retrieved"] += sum(d not in found[RERANKED] for d in positives)
        for candidate in known.values():
            self._ledger.add(query_id, candidate)

    def _count(self, positives: list[str], negatives: int) -> None:
        self.counts["groups"] += 1
        self.counts["positives_in_groups"] += len(positives)
        self.counts["groups_with_fewer_negatives"] += negatives < self._settings.negatives

    def _together(self, query_id: str, positives: list[str]) -> list[list[str]]:
        """The positives of each of the query's groups, best grade first."""
        if self._settings.group_by == "positive":
            return [[positive] for positive in positives]
        grades = self._collection.qrels["train"][query_id]
        return [sorted(positives, key=lambda doc_id: (-grades[doc_id], doc_id))]

    def _group(
        self,
        query_id: str,
        positives: list[str],
        negatives: list[str],
        scores: Mapping[str, float],
        teacher_logits: list[float | None],
    ) -> Group:
        grades = self._collection.qrels["train"][query_id]
        doc_ids = [*positives, *negatives]
        return Group(
            query_id=query_id,
            query=self._collection.queries[query_id],
            doc_ids=doc_ids,
            docs=[self._collection.passages[doc_id] for doc_id in doc_ids],
            labels=[*(grades[doc_id] for doc_id in positives), *[0] * len(negatives)],
            first_stage_scores=[scores.get(doc_id) for doc_id in doc_ids],
            teacher_scores=teacher_logits,
        )


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


def _foreign(collection: Collection) -> set[str]:
    """The documents that dev, test or another split judges relevant and train does not."""
    relevant: dict[bool, set[str]] = {True: set(), False: set()}
    for split, qrels in collection.qrels.items():
        relevant[split == "train"] |= {
            d for judged in qrels.values() for d, grade in judged.items() if grade > 0
        }
    return relevant[False] - relevant[True]


def _answers(settings: MiningSettings) -> Answers:
    if settings.review is None:
        return Answers({})
    answers = read_answers(Path(settings.review).expanduser())
    if answers.broken_end:
        say(f"  {settings.review}: the last line was cut off and is passed over")
    say(f"  {len(answers.by_pair)} answers of a review are obeyed")
    return answers


ADVICE = {
    "other_split": "set mine.own_split to false",
    "likely_positive": "raise mine.likely_positive, or name another mine.teacher",
    "doubtful": "raise mine.likely_negative, or name another mine.teacher",
    "margin": "lower mine.margin and mine.relative_margin",
    "near_copy": "raise mine.near_copy",
}


def _nothing_left(summary: MiningSummary) -> str:
    """The message for no group at all: by what most candidates were left, and what to do about it."""
    most = max(ADVICE, key=lambda reason: summary.candidates[reason])
    advice = ADVICE[most] if summary.candidates[most] else "widen mine.first_rank and mine.last_rank"
    left = {reason: count for reason, count in summary.candidates.items() if count}
    return (
        f"no group could be mined from {summary.positives} train positives: {left or 'no candidates'}; "
        f"{advice}, or check the first stage"
    )


def _show(summary: MiningSummary) -> None:
    say(
        f"  {summary.groups} groups from {summary.positives} positives "
        f"({summary.positives_not_retrieved} of them not retrieved), "
        f"{summary.groups_with_fewer_negatives} with fewer negatives than asked"
    )
    sources = {source: count for source, count in summary.taken_from.items() if count}
    if len(sources) > 1:
        say("  negatives from: " + ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in sources.items()))
    always = ("seen", "taken", "judged_positive", "outside_ranks", "near_copy", "not_drawn")
    shown = {k: n for k, n in summary.candidates.items() if n or k in always}
    say("  candidates: " + ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in shown.items()))
    left = {reason: count for reason, count in summary.left_out.items() if count}
    if left:
        say("  positives left out: " + ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in left.items()))
