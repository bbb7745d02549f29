"""Which generated queries are kept: new ones, whose passage the first stage finds and a teacher approves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from crosstune.data import FirstStageSettings, search_all
from crosstune.near_equal import find_equal, normal
from crosstune.progress import progress
from crosstune.records import Collection, ranking

REASONS = ("known_query", "near_evaluation_query", "not_returned", "below_teacher")
QUERIES_AT_ONCE = 2000

Teacher = Callable[[Sequence[tuple[str, str]]], list[float]]


@dataclass
class Draft:
    """A query that was written for a passage, and what is said of it. `rank`: of the passage in the first
    stage, None where it is not found or was not looked for; `reason`: why it is dropped."""

    doc_id: str
    query_id: str
    text: str
    rank: int | None = None
    teacher_score: float | None = None
    reason: str | None = None


def drop_known(drafts: Iterable[Draft], known: Mapping[str, str], evaluation: Mapping[str, str]) -> None:
    """Drops what repeats a query of the collection (`known`), and what nearly equals one of `evaluation`,
    which training would otherwise see. Both: id -> text."""
    texts = {normal(text) for text in known.values()}
    left = [draft for draft in drafts if draft.reason is None]
    equal, near = find_equal(evaluation, {draft.query_id: draft.text for draft in left})
    for draft in left:
        if normal(draft.text) in texts:
            draft.reason = "known_query"
        elif draft.query_id in equal or draft.query_id in near:
            draft.reason = "near_evaluation_query"


def round_trip(
    drafts: Iterable[Draft], collection: Collection, settings: FirstStageSettings, best: int
) -> None:
    """Drops queries whose passage is not among the first stage's `best` (Alberti et al. 2019,
    arXiv:1906.05416; Dai et al. 2022, arXiv:2209.11755, with `best` = 1)."""
    left = [draft for draft in drafts if draft.reason is None]
    with progress("round trip, queries", len(left)) as advance:
        for start in range(0, len(left), QUERIES_AT_ONCE):
            part = left[start : start + QUERIES_AT_ONCE]
            run = search_all(collection, settings, {draft.query_id: draft.text for draft in part})
            for draft in part:
                order = ranking(run[draft.query_id])
                draft.rank = order.index(draft.doc_id) + 1 if draft.doc_id in order else None
                if draft.rank is None or draft.rank > best:
                    draft.reason = "not_returned"
            advance(len(part))


def ask_teacher(drafts: Iterable[Draft], passages: Mapping[str, str], teacher: Teacher, least: float) -> None:
    """Drops queries to which the teacher gives less than `least`, 0 to 1: the logistic function of its
    logit."""
    from scipy.special import expit

    left = [draft for draft in drafts if draft.reason is None]
    with progress("teacher, queries", len(left)) as advance:
        for start in range(0, len(left), 64):
            part = left[start : start + 64]
            logits = teacher([(draft.text, passages[draft.doc_id]) for draft in part])
            for draft, logit in zip(part, logits, strict=True):
                draft.teacher_score = float(expit(logit))
                if draft.teacher_score < least:
                    draft.reason = "below_teacher"
            advance(len(part))
