"""Diagnoses that stand before the first step: what the model cannot learn from these groups."""

from __future__ import annotations

from typing import Any

from crosstune.train.doctor.diagnosis import Diagnosis
from crosstune.train.doctor.facts import DataSigns, Plan
from crosstune.train.doctor.thresholds import (
    EQUAL_QUERIES,
    LEAST_EQUAL_QUERIES,
    LEAST_PASSAGE_TOKENS,
    NEAR_QUERIES,
    ONE_CLASS_SHARE,
    REVERSED_PAIRS,
    SAME_SHARE,
    STARVED_SHARE,
    WINDOW_GROUPS,
)
from crosstune.train.loss_kinds import KINDS

POSITION_LIMIT = 512
"""Positions of most BERT-style bases; `train.max_tokens` is not proposed beyond."""


def check(plan: Plan, data: DataSigns) -> list[Diagnosis]:
    starved = _starved(plan, data)
    kind = KINDS[plan.loss]
    labelled = kind.learns_from != "teacher" or kind.needs == "two grades"
    found = [
        starved,
        _same(plan, data, cut=starved is not None),
        _one_class(plan, data) if labelled else None,
        _teacher_against_labels(plan, data),
        _label_leak(data),
    ]
    return [diagnosis for diagnosis in found if diagnosis]


def _starved(plan: Plan, data: DataSigns) -> Diagnosis | None:
    if data.starved < STARVED_SHARE * data.pairs:
        return None
    return Diagnosis(
        "cut_to_the_query",
        "the query fills the input: of most passages next to nothing is left to learn from",
        {
            "pairs": data.pairs,
            f"pairs_with_less_than_{LEAST_PASSAGE_TOKENS}_passage_tokens": data.starved,
            "max_tokens": plan.max_tokens,
            "max_query_tokens": plan.max_query_tokens,
        },
        "give the pair more tokens, and the query a smaller part of them",
        {"train.max_tokens": _more_tokens(plan), "train.max_query_tokens": max(1, plan.max_tokens // 4)},
    )


def _same(plan: Plan, data: DataSigns, *, cut: bool) -> Diagnosis | None:
    """What was cut to equal inputs is not said a second time."""
    same = data.equal_texts if cut else max(data.equal_texts, data.equal_inputs)
    if same < SAME_SHARE * data.looked_at:
        return None
    by_text = 2 * data.equal_texts >= same
    return Diagnosis(
        "positives_equal_negatives",
        "positives cannot be told from negatives: their texts are (nearly) equal, or become the same tokens",
        {
            "groups_looked_at": data.looked_at,
            "groups_with_equal_or_nearly_equal_texts": data.equal_texts,
            "groups_with_the_same_tokens": data.equal_inputs,
        },
        "let mining leave out copies of a positive, or take them out of the corpus"
        if by_text
        else "let the model see where the passages differ: beyond the cut, with more tokens or in windows; "
        "in words that are not in the base's vocabulary, with another model",
        {"mine.near_copy": 0.9} if by_text else _see_more(plan),
    )


def _see_more(plan: Plan) -> dict[str, Any]:
    more = _more_tokens(plan)
    return {"train.max_tokens": more} if more > plan.max_tokens else {"train.windows.aggregate": "max"}


def _more_tokens(plan: Plan) -> int:
    return max(plan.max_tokens, min(max(2 * plan.max_tokens, plan.max_query_tokens + 64), POSITION_LIMIT))


def _one_class(plan: Plan, data: DataSigns) -> Diagnosis | None:
    if data.one_class < ONE_CLASS_SHARE * data.looked_at:
        return None
    return Diagnosis(
        "one_class",
        "the documents of a group all have one grade, so no group says which document is better",
        {"groups_looked_at": data.looked_at, "groups_with_one_grade": data.one_class, "loss": plan.loss},
        "let mining add negatives to each positive; give groups of your own a positive and negatives each",
        {"mine.negatives": 7},
    )


def _teacher_against_labels(plan: Plan, data: DataSigns) -> Diagnosis | None:
    agrees = data.teacher_agrees
    if agrees is None or agrees > REVERSED_PAIRS or data.looked_at < WINDOW_GROUPS:
        return None
    change: dict[str, Any] = {"train.teacher": "none"}
    if KINDS[plan.loss].learns_from == "teacher":
        change = {"train.loss": "lce"}
    elif plan.teacher == "none":
        change = {"mine.distill_teacher": False}
    return Diagnosis(
        "labels_reversed",
        "the teacher sets positives below their negatives: one of labels and teacher is the wrong way round",
        {"share_of_pairs_that_the_teacher_orders_as_the_labels": round(agrees, 3)},
        "look at groups (crosstune inspect RUN QUERY-ID): a higher grade must mean more relevant; if the "
        "labels are right, leave the teacher out",
        change,
    )


def _label_leak(data: DataSigns) -> Diagnosis | None:
    what: list[str] = []
    evidence: dict[str, Any] = {}
    do: list[str] = []
    leaks = data.leaks
    if _trained_on(leaks.dev_queries, leaks.equal, leaks.equal + leaks.near):
        what.append(
            "dev queries are trained on: checkpoint, fusion and gate are chosen by what was learned by heart"
        )
        evidence |= {
            "dev_queries": leaks.dev_queries,
            "with_the_text_of_a_training_query": leaks.equal,
            "with_nearly_its_text": leaks.near,
        }
        do.append("split the queries anew: crosstune convert keeps equal and nearly equal ones in one split")
    if (word := leaks.word) is not None:
        which = "relevant" if word.tells > 0 else "not relevant"
        what.append(f"a word in the passages tells in training what is {which}, and does not on dev")
        evidence |= {
            "word": word.word,
            "share_of_training_positives": round(word.train_positives, 3),
            "share_of_training_negatives": round(word.train_negatives, 3),
            "share_of_dev_positives": round(word.dev_positives, 3),
            "share_of_dev_negatives": round(word.dev_negatives, 3),
        }
        do.append("take the word out of all passages, or put it into all")
    return Diagnosis("label_leak", "; ".join(what), evidence, "; ".join(do), {}) if what else None


def _trained_on(queries: int, equal: int, alike: int) -> bool:
    return (equal >= LEAST_EQUAL_QUERIES and equal >= EQUAL_QUERIES * queries) or (
        alike >= LEAST_EQUAL_QUERIES and alike >= NEAR_QUERIES * queries
    )
