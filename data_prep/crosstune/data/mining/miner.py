"""The groups and the ledger's rows of some queries, and what is counted of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from crosstune.data.mining.answers import Answers, read_answers
from crosstune.data.mining.draw import Drawer
from crosstune.data.mining.judge import QueryJudge, Scorers
from crosstune.data.mining.ledger import ledger_row
from crosstune.data.settings import RERANKED, MiningSettings
from crosstune.errors import InputError
from crosstune.progress import say
from crosstune.records import Collection, Group

Scores = Mapping[str, Mapping[str, float]]
"""query id -> document id -> score; a `Run`, or a `StoredRun` that holds one query at a time."""


@dataclass
class Mined:
    """What came of some queries. The counts of several add up to those of all: `counts` of groups and
    positives, `candidates` by what became of them, `taken_from` by the first stage whose quota took them."""

    positives: int
    groups: list[Group] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    candidates: Counter[str] = field(default_factory=Counter)
    taken_from: Counter[str] = field(default_factory=Counter)


class Miner:
    """Mines queries. But for `max_uses`, what comes of a query depends on none that was mined before it, so
    several miners may share the queries."""

    def __init__(
        self,
        collection: Collection,
        runs: Mapping[str, Scores],
        settings: MiningSettings,
        seed: int,
        scorers: Scorers,
    ) -> None:
        self._collection = collection
        self._runs = runs
        self._settings = settings
        self._scorers = scorers
        self._answers = _answers(collection, settings)
        self._foreign = _foreign(collection) if settings.own_split else set()
        self._drawer = Drawer(settings, seed, sorted(collection.passages))

    def mined(self, positives: Sequence[tuple[str, str]]) -> Mined:
        """`positives`: (query id, document id), all that are mined of each of their queries, by query."""
        mined = Mined(len(positives))
        for query_id, pairs in groupby(positives, key=lambda pair: pair[0]):
            self._mine_query(query_id, [doc_id for _, doc_id in pairs], mined)
        mined.candidates, mined.taken_from = self._drawer.hand_over()
        return mined

    def _mine_query(self, query_id: str, positives: list[str], mined: Mined) -> None:
        judge = QueryJudge(
            self._collection, self._settings, self._answers, self._scorers, query_id, self._foreign
        )
        found = {source: run.get(query_id, {}) for source, run in self._runs.items()}
        candidates = judge.retrieved(found)
        known = {candidate.doc_id: candidate for candidate in candidates}
        for together in self._together(query_id, positives):
            negatives = self._drawer.retrieved(query_id, together[0], candidates)
            negatives += self._drawer.random(query_id, together[0], judge, known)
            if negatives:
                logits: list[float | None] = [None] * (len(together) + len(negatives))
                if self._settings.distill_teacher:
                    logits = [judge.teach(positive) for positive in together]
                    logits += [candidate.teacher_logit for candidate in negatives]
                mined.counts["groups"] += 1
                mined.counts["positives_in_groups"] += len(together)
                mined.counts["groups_with_fewer_negatives"] += len(negatives) < self._settings.negatives
                ids = [candidate.doc_id for candidate in negatives]
                mined.groups.append(self._group(query_id, together, ids, found[RERANKED], logits))
        mined.counts["positives_not_retrieved"] += sum(d not in found[RERANKED] for d in positives)
        mined.rows += [ledger_row(query_id, candidate, list(self._runs)) for candidate in known.values()]

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


def _foreign(collection: Collection) -> set[str]:
    """The documents that dev, test or another split judges relevant and train does not."""
    relevant: dict[bool, set[str]] = {True: set(), False: set()}
    for split, qrels in collection.qrels.items():
        relevant[split == "train"] |= {
            d for judged in qrels.values() for d, grade in judged.items() if grade > 0
        }
    return relevant[False] - relevant[True]


def _answers(collection: Collection, settings: MiningSettings) -> Answers:
    """The answers of the review. Raises `InputError` when none of them is about this collection."""
    if settings.review is None:
        return Answers({})
    answers = read_answers(Path(settings.review).expanduser())
    if answers.broken_end:
        say(f"  {settings.review}: the last line was cut off and is passed over")
    train = collection.qrels.get("train", {})
    strange = [(q, d) for q, d in answers.by_pair if q not in train or d not in collection.passages]
    if strange and len(strange) == len(answers.by_pair):
        raise InputError(
            f"mine.review: {settings.review}: none of its {len(strange)} answers names a train query and a "
            f"passage of this collection (the first: query {strange[0][0]!r}, document {strange[0][1]!r}); "
            "give the review of a run of this collection"
        )
    say(f"  {len(answers.by_pair) - len(strange)} answers of a review are obeyed")
    if strange:
        say(
            f"  {len(strange)} answers name no train query or no passage of this collection: they change "
            f"nothing (the first: query {strange[0][0]!r}, document {strange[0][1]!r})"
        )
    return answers
