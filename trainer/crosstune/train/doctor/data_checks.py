"""Diagnoses that stand before the first step: what the model cannot learn from these groups."""

from __future__ import annotations

from crosstune.train.doctor.diagnose import Diagnosis
from crosstune.train.doctor.facts import DataSigns, Plan
from crosstune.train.doctor.thresholds import (
    LEAST_PASSAGE_TOKENS,
    ONE_CLASS_SHARE,
    REVERSED_PAIRS,
    SAME_SHARE,
    STARVED_SHARE,
)
from crosstune.train.loss_kinds import KINDS

POSITION_LIMIT = 512
"""Positions of most BERT-style bases; `train.max_tokens` is not proposed beyond."""


def check(plan: Plan, data: DataSigns) -> list[Diagnosis]:
    starved = _starved(plan, data)
    labelled = KINDS[plan.loss].learns_from != "teacher" or KINDS[plan.loss].needs == "two grades"  # type: ignore[index]
    found = [starved, _same(data, cut=starved is not None), _one_class(plan, data) if labelled else None]
    return [diagnosis for diagnosis in (*found, _teacher_against_labels(data)) if diagnosis]


def _starved(plan: Plan, data: DataSigns) -> Diagnosis | None:
    if data.starved < STARVED_SHARE * data.pairs:
        return None
    longer = min(max(2 * plan.max_tokens, plan.max_query_tokens + 64), POSITION_LIMIT)
    shorter = {"train.max_query_tokens": max(1, plan.max_tokens // 4)}
    return Diagnosis(
        "cut_to_the_query",
        "the query fills the input: of most passages next to nothing is left, and nothing can be learned of it",
        {
            "pairs": data.pairs,
            f"pairs_with_less_than_{LEAST_PASSAGE_TOKENS}_passage_tokens": data.starved,
            "max_tokens": plan.max_tokens,
            "max_query_tokens": plan.max_query_tokens,
        },
        "give the pair more tokens, and the query a smaller part of them",
        ({"train.max_tokens": longer} if longer > plan.max_tokens else {}) | shorter,
    )


def _same(data: DataSigns, *, cut: bool) -> Diagnosis | None:
    """What was cut to equal inputs is not said a second time."""
    same = data.equal_texts if cut else max(data.equal_texts, data.equal_inputs)
    if same < SAME_SHARE * data.looked_at:
        return None
    return Diagnosis(
        "positives_equal_negatives",
        "positives cannot be told from negatives: their texts are equal or nearly so, or become the same tokens",
        {
            "groups_looked_at": data.looked_at,
            "groups_with_equal_or_nearly_equal_texts": data.equal_texts,
            "groups_with_the_same_tokens": data.equal_inputs,
        },
        "where the texts are equal, let mining leave copies of a positive out, or take the copies out of the "
        "corpus; where only the tokens are, the passages differ beyond the cut (raise train.max_tokens) or in "
        "words that the base's vocabulary has not (another model)",
        {"mine.near_copy": 0.9},
    )


def _one_class(plan: Plan, data: DataSigns) -> Diagnosis | None:
    if data.one_class < ONE_CLASS_SHARE * data.looked_at:
        return None
    return Diagnosis(
        "one_class",
        "the documents of a group all have one grade, so no group says which document is better",
        {"groups_looked_at": data.looked_at, "groups_with_one_grade": data.one_class, "loss": plan.loss},
        "let mining add negatives to each positive; in groups of your own, give each a positive and negatives",
        {"mine.negatives": 7},
    )


def _teacher_against_labels(data: DataSigns) -> Diagnosis | None:
    agrees = data.teacher_agrees
    if agrees is None or agrees > REVERSED_PAIRS:
        return None
    return Diagnosis(
        "labels_reversed",
        "the teacher sets the labels' positives below their negatives: labels or teacher are the wrong way round",
        {"share_of_pairs_that_the_teacher_orders_as_the_labels": round(agrees, 3)},
        "look at some groups (crosstune inspect RUN QUERY-ID): a higher grade must mean more relevant; if the "
        "labels are right, leave the teacher out",
        {"train.teacher": "none"},
    )
