"""Why a candidate cannot be a negative of its query: what its rank, its text, a person and a teacher say."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from crosstune.data.mining.answers import Answers
from crosstune.data.mining.copies import NearCopies
from crosstune.data.settings import MiningSettings
from crosstune.records import Collection, ranking

Teacher = Callable[[Sequence[tuple[str, str]]], list[float]]
"""`(query, passage)` pairs -> a cross-encoder's logits, in the order given."""


class Place(NamedTuple):
    """Where a first stage has a candidate; ranks count from 1, the score is its own."""

    rank: int
    score: float


@dataclass(slots=True)
class Candidate:
    """One candidate of one query, and what becomes of it.

    `places`: by first stage, the reranked one as `RERANKED`; none for a random draw. `reason`: why it is no
    negative of any group, None when it can be one. `left_for`: why the last group left it. `groups`: groups
    that it was seen for; `taken`: the positives of those that took it, and for each the first stage whose
    quota took it, or `RANDOM`. `model_logit`: of the model that round 1 trained.
    """

    doc_id: str
    places: dict[str, Place] = field(default_factory=dict)
    similarity: float | None = None
    teacher_logit: float | None = None
    model_logit: float | None = None
    reason: str | None = None
    left_for: str = ""
    groups: int = 0
    taken: list[tuple[str, str]] = field(default_factory=list)
    trusted: bool = False

    def rank(self, source: str) -> int | None:
        return self.places[source].rank if source in self.places else None

    def score(self, source: str) -> float | None:
        return self.places[source].score if source in self.places else None

    @property
    def teacher_score(self) -> float | None:
        return _share(self.teacher_logit)

    @property
    def model_score(self) -> float | None:
        return _share(self.model_logit)


def _share(logit: float | None) -> float | None:
    from scipy.special import expit

    return None if logit is None else float(expit(logit))


@dataclass(frozen=True)
class Scorers:
    """The models that mining asks: `teacher` denoises, `model` (what round 1 trained) says what is hard. The
    model denoises as well where there is no teacher."""

    teacher: Teacher | None = None
    model: Teacher | None = None


class QueryJudge:
    """Judges the candidates of one query.

    A person's answer is believed before a teacher or the likeness of two texts, and so is a judgement of the
    qrels before a teacher: such a candidate is `trusted` not to be relevant. `relevant`: what any split
    judges relevant to the query. `foreign`: the documents that belong to another split.
    """

    def __init__(
        self,
        collection: Collection,
        settings: MiningSettings,
        answers: Answers,
        scorers: Scorers,
        query_id: str,
        foreign: Container[str] = (),
    ) -> None:
        self._passages = collection.passages
        self._query = collection.queries[query_id]
        self._query_id = query_id
        self._settings = settings
        self._answers = answers
        self._scorers = scorers
        self._foreign = foreign
        self._judged = collection.qrels["train"][query_id]
        by_split = [qrels.get(query_id, {}) for qrels in collection.qrels.values()]
        self.relevant = {doc_id for judged in by_split for doc_id, grade in judged.items() if grade > 0}
        self._copies = NearCopies([self._passages[d] for d in self.relevant], settings.near_copy)

    def retrieved(self, runs: Mapping[str, Mapping[str, float]]) -> list[Candidate]:
        """The candidates of each first stage, judged: best first, the first stages in the order of `runs`."""
        candidates: dict[str, Candidate] = {}
        for source, scores in runs.items():
            for rank, doc_id in enumerate(ranking(scores), start=1):
                candidate = candidates.setdefault(doc_id, Candidate(doc_id))
                candidate.places[source] = Place(rank, scores[doc_id])
        self._judge(list(candidates.values()))
        return list(candidates.values())

    def drawn(self, doc_ids: Sequence[str]) -> list[Candidate]:
        """Documents that were drawn from the whole collection, judged."""
        candidates = [Candidate(doc_id) for doc_id in doc_ids]
        self._judge(candidates)
        return candidates

    def teach(self, doc_id: str) -> float | None:
        """The teacher's logit for one document."""
        return self._ask(self._scorers.teacher, [doc_id])[0]

    def _ask(self, model: Teacher | None, doc_ids: Sequence[str]) -> Sequence[float | None]:
        """A model's logits; None for each without a model."""
        if model is None or not doc_ids:
            return [None] * len(doc_ids)
        return model([(self._query, self._passages[doc_id]) for doc_id in doc_ids])

    def _judge(self, candidates: list[Candidate]) -> None:
        for candidate in candidates:
            candidate.reason = self._without_teacher(candidate)
        able = [candidate for candidate in candidates if candidate.reason is None]
        ids = [candidate.doc_id for candidate in able]
        by_model = self._ask(self._scorers.model, ids)
        by_teacher = self._ask(self._scorers.teacher, ids) if self._scorers.teacher else by_model
        for candidate, hard, taught in zip(able, by_model, by_teacher, strict=True):
            candidate.model_logit, candidate.teacher_logit = hard, taught
            if taught is not None and not candidate.trusted:
                candidate.reason = self._by_teacher(candidate)

    def _without_teacher(self, candidate: Candidate) -> str | None:
        doc_id = candidate.doc_id
        if doc_id in self.relevant:
            return "judged_positive"
        if candidate.places and not any(self._inside(place.rank) for place in candidate.places.values()):
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

    def _inside(self, rank: int) -> bool:
        return self._settings.first_rank <= rank <= self._settings.last_rank

    def _by_teacher(self, candidate: Candidate) -> str | None:
        score = candidate.teacher_score or 0.0
        if score > self._settings.likely_positive:
            return "likely_positive"
        return "doubtful" if score >= self._settings.likely_negative else None
