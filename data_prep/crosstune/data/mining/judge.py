"""Why a candidate cannot be a negative of its query: what its rank, its text, a person and a teacher say."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from crosstune.data.mining.answers import Answers
from crosstune.data.mining.copies import NearCopies
from crosstune.data.settings import MiningSettings
from crosstune.records import Collection, ranking

Teacher = Callable[[Sequence[tuple[str, str]]], list[float]]
"""`(query, passage)` pairs -> a cross-encoder's logits, in the order given."""


@dataclass
class Candidate:
    """One candidate of one query, and what becomes of it; `rank` and `score` are None for a random draw.

    `reason`: why it is no negative of any group, None when it can be one. `left_for`: why the last group
    left it. `groups`: groups that it was seen for; `taken_for`: the positives of those that took it.
    """

    doc_id: str
    rank: int | None = None
    score: float | None = None
    similarity: float | None = None
    teacher_logit: float | None = None
    reason: str | None = None
    left_for: str = ""
    groups: int = 0
    taken_for: list[str] = field(default_factory=list)
    trusted: bool = False

    @property
    def teacher_score(self) -> float | None:
        """The logistic function of the teacher's logit."""
        if self.teacher_logit is None:
            return None
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, self.teacher_logit))))


class QueryJudge:
    """Judges the candidates of one query.

    A person's answer is believed before a teacher or the likeness of two texts, and so is a judgement of the
    qrels before a teacher: such a candidate is `trusted` not to be relevant. `foreign`: the documents that
    belong to another split.
    """

    def __init__(
        self,
        collection: Collection,
        settings: MiningSettings,
        answers: Answers,
        teacher: Teacher | None,
        query_id: str,
        foreign: Container[str] = (),
    ) -> None:
        self._passages = collection.passages
        self._query = collection.queries[query_id]
        self._query_id = query_id
        self._settings = settings
        self._answers = answers
        self._teacher = teacher
        self._foreign = foreign
        self._judged = collection.qrels["train"][query_id]
        self.relevant = {doc_id for doc_id, grade in self._judged.items() if grade > 0}
        self._copies = NearCopies([self._passages[d] for d in self.relevant], settings.near_copy)

    def retrieved(self, scores: dict[str, float]) -> list[Candidate]:
        """The first stage's candidates, best first, judged."""
        candidates = [
            Candidate(doc_id, rank, scores[doc_id]) for rank, doc_id in enumerate(ranking(scores), start=1)
        ]
        self._judge(candidates)
        return candidates

    def drawn(self, doc_ids: Sequence[str]) -> list[Candidate]:
        """Documents that were drawn from the whole collection, judged."""
        candidates = [Candidate(doc_id) for doc_id in doc_ids]
        self._judge(candidates)
        return candidates

    def teach(self, doc_id: str) -> float | None:
        """The teacher's logit for one document."""
        return self._teacher([(self._query, self._passages[doc_id])])[0] if self._teacher else None

    def _judge(self, candidates: list[Candidate]) -> None:
        for candidate in candidates:
            candidate.reason = self._without_teacher(candidate)
        asked = [candidate for candidate in candidates if candidate.reason is None]
        if self._teacher and asked:
            logits = self._teacher([(self._query, self._passages[c.doc_id]) for c in asked])
            for candidate, logit in zip(asked, logits, strict=True):
                candidate.teacher_logit = logit
                candidate.reason = None if candidate.trusted else self._by_teacher(candidate)

    def _without_teacher(self, candidate: Candidate) -> str | None:
        rank, doc_id = candidate.rank, candidate.doc_id
        if doc_id in self.relevant:
            return "judged_positive"
        if rank is not None and not self._settings.first_rank <= rank <= self._settings.last_rank:
            return "outside_ranks"
        if doc_id in self._foreign:
            return "other_split"
        candidate.similarity = self._copies.similarity(self._passages[doc_id])
        verdict = self._answers.verdict(self._query_id, doc_id)
        candidate.trusted = verdict == "not" or doc_id in self._judged
        if verdict in ("relevant", "unsure"):
            return "reviewed"
        if candidate.similarity >= self._settings.near_copy and verdict is None:
            return "near_copy"
        return None

    def _by_teacher(self, candidate: Candidate) -> str | None:
        score = candidate.teacher_score or 0.0
        if score > self._settings.likely_positive:
            return "likely_positive"
        return "doubtful" if score >= self._settings.likely_negative else None
