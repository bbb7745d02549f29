"""From a collection and a first stage's run to training groups, `mining.json` and the ledger."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from crosstune.data.mining.answers import Answers, read_answers
from crosstune.data.mining.draw import Drawer
from crosstune.data.mining.judge import QueryJudge, Teacher
from crosstune.data.mining.ledger import LEDGER, REASONS, LedgerWriter, ledger_writer
from crosstune.data.schema import GROUPS_FILE, GROUPS_VERSION, check_folder
from crosstune.data.settings import MiningSettings
from crosstune.errors import InputError
from crosstune.files import write_json
from crosstune.progress import progress, say
from crosstune.records import Collection, Group, Run


@dataclass(frozen=True)
class MiningSummary:
    """What `mining.json` holds.

    `candidates`: what became of every candidate that was seen for a group; the counts other than `seen`
    sum to it. `left_out`: positives that got no group, by reason. `ledger`: rows of the ledger by reason.
    `random_negatives`: those of the taken that no first stage had retrieved.
    """

    groups: int
    positives: int
    positives_not_retrieved: int
    groups_with_fewer_negatives: int
    random_negatives: int
    candidates: dict[str, int]
    left_out: dict[str, int]
    ledger: dict[str, int]


def mine(
    collection: Collection,
    run: Run,
    settings: MiningSettings,
    seed: int,
    folder: Path,
    teacher: Teacher | None = None,
) -> MiningSummary:
    """Writes `groups/` (Arrow), `ledger.parquet` and `mining.json` into `folder`.

    A negative is never judged relevant to its query and never a near copy of one of its positives. A
    group is not filled up: with fewer negatives at hand it is smaller, with none it is left out, and
    both are counted. What is drawn depends on the seed and the ids alone (with `max_uses` on the groups
    before as well). `teacher` is the model that `settings.teacher` names. Raises `InputError` for a
    collection without train positives, for a review that cannot be read and when no group is left.
    """
    from datasets import Dataset, disable_progress_bars

    train = collection.qrels.get("train", {})
    positives = sorted((q, d) for q, judged in train.items() for d, grade in judged.items() if grade > 0)
    if not positives:
        raise InputError("the collection has no train positives (qrels/train.tsv); there is nothing to mine")
    drawn = _drawn(positives, settings, seed)
    kept = _of_share(drawn, settings.query_share, seed)
    with ledger_writer(folder / LEDGER) as ledger:
        miner = _Miner(collection, run, settings, seed, teacher, ledger)
        groups = list(miner.groups(kept))
    counts = miner.counts
    summary = MiningSummary(
        groups=len(groups),
        positives=len(positives),
        positives_not_retrieved=sum(d not in run.get(q, {}) for q, d in kept),
        groups_with_fewer_negatives=sum(group.labels.count(0) < settings.negatives for group in groups),
        random_negatives=miner.random_negatives,
        candidates={name: counts[name] for name in ("seen", "taken", *REASONS)},
        left_out={
            "no_negative": len(kept) - sum(len(group.labels) - group.labels.count(0) for group in groups),
            "over_max_groups": len(positives) - len(drawn),
            "outside_query_share": len(drawn) - len(kept),
        },
        ledger={name: ledger.rows[name] for name in ("taken", *REASONS)},
    )
    if not groups:
        raise InputError(_nothing_left(summary))
    disable_progress_bars()
    Dataset.from_list([asdict(group) for group in groups]).save_to_disk(folder / "groups")
    write_json(folder / "mining.json", asdict(summary))
    _show(summary)
    return summary


class _Miner:
    def __init__(
        self,
        collection: Collection,
        run: Run,
        settings: MiningSettings,
        seed: int,
        teacher: Teacher | None,
        ledger: LedgerWriter,
    ) -> None:
        self._collection = collection
        self._run = run
        self._settings = settings
        self._teacher = teacher
        self._ledger = ledger
        self._answers = _answers(settings)
        self._foreign = _foreign(collection) if settings.own_split else set()
        self._drawer = Drawer(settings, seed, sorted(collection.passages))
        self.counts = self._drawer.counts
        self.random_negatives = 0

    def groups(self, positives: list[tuple[str, str]]) -> Iterator[Group]:
        with progress("mine, positives", len(positives)) as advance:
            for query_id, pairs in groupby(positives, key=lambda pair: pair[0]):
                ids = [doc_id for _, doc_id in pairs]
                yield from self._groups_of_query(query_id, ids)
                advance(len(ids))

    def _groups_of_query(self, query_id: str, positives: list[str]) -> Iterator[Group]:
        judge = QueryJudge(
            self._collection, self._settings, self._answers, self._teacher, query_id, self._foreign
        )
        candidates = judge.retrieved(self._run.get(query_id, {}))
        known = {candidate.doc_id: candidate for candidate in candidates}
        for together in self._together(query_id, positives):
            negatives = self._drawer.retrieved(query_id, together[0], candidates)
            drawn = self._drawer.random(query_id, together[0], judge, known)
            self.random_negatives += len(drawn)
            negatives += drawn
            if negatives:
                logits: list[float | None] = [None] * (len(together) + len(negatives))
                if self._settings.distill_teacher:
                    logits = [judge.teach(positive) for positive in together]
                    logits += [candidate.teacher_logit for candidate in negatives]
                yield self._group(query_id, together, [c.doc_id for c in negatives], logits)
        for candidate in known.values():
            self._ledger.add(query_id, candidate)

    def _together(self, query_id: str, positives: list[str]) -> list[list[str]]:
        """The positives of each of the query's groups, best grade first."""
        if self._settings.group_by == "positive":
            return [[positive] for positive in positives]
        grades = self._collection.qrels["train"][query_id]
        return [sorted(positives, key=lambda doc_id: (-grades[doc_id], doc_id))]

    def _group(
        self, query_id: str, positives: list[str], negatives: list[str], teacher_logits: list[float | None]
    ) -> Group:
        scores = self._run.get(query_id, {})
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


def read_groups(folder: Path) -> list[Group]:
    """The groups that `mine` wrote into `folder`."""
    from datasets import load_from_disk

    if not (folder / "groups").is_dir():
        raise InputError(f"{folder / 'groups'}: no such folder; run crosstune mine first")
    check_folder(folder, GROUPS_FILE, GROUPS_VERSION)
    return [Group(**row) for row in load_from_disk(folder / "groups")]


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
    always = ("seen", "taken", "judged_positive", "outside_ranks", "near_copy", "not_drawn")
    shown = {k: n for k, n in summary.candidates.items() if n or k in always}
    say("  candidates: " + ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in shown.items()))
    left = {reason: count for reason, count in summary.left_out.items() if count}
    if left:
        say("  positives left out: " + ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in left.items()))
