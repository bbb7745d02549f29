"""What each loss learns from, without torch: settings and data are checked before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LossName = Literal[
    "bce",
    "mse",
    "margin",
    "ranknet",
    "lambda",
    "lce",
    "listnet",
    "listmle",
    "plistmle",
    "approx_ndcg",
    "margin_mse",
    "kl",
    "teacher_mse",
    "teacher_ranknet",
]

Needs = Literal["a document", "two documents", "a relevant document", "two grades", "two gains", "two scores"]


@dataclass(frozen=True)
class LossKind:
    """`learns_from`: labels 0 and 1, grades, or a teacher's scores. `needs`: what a group must have for
    the loss to learn from it. `option`: the setting that belongs to this loss alone."""

    learns_from: Literal["relevance", "grades", "teacher"]
    needs: Needs
    option: str | None = None


KINDS: dict[LossName, LossKind] = {
    "bce": LossKind("relevance", "a document", "pos_weight"),
    "mse": LossKind("grades", "a document"),
    "margin": LossKind("grades", "two grades", "margin"),
    "ranknet": LossKind("grades", "two grades"),
    "lambda": LossKind("grades", "two gains", "ndcg_depth"),
    "lce": LossKind("relevance", "a relevant document"),
    "listnet": LossKind("grades", "two documents"),
    "listmle": LossKind("grades", "two documents"),
    "plistmle": LossKind("grades", "two documents"),
    "approx_ndcg": LossKind("grades", "two gains", "temperature"),
    "margin_mse": LossKind("teacher", "two grades"),
    "kl": LossKind("teacher", "two documents"),
    "teacher_mse": LossKind("teacher", "a document"),
    "teacher_ranknet": LossKind("teacher", "two scores"),
}
TEACHER_ALONE = 0.5
"""Share of the steps, the first ones, in which a loss of labels leaves the groups to their teacher."""
OPTIONS: dict[str, LossName] = {kind.option: name for name, kind in KINDS.items() if kind.option}
