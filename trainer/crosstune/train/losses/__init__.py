"""Losses over a batch of groups. To add one: a file with the function, and a line in `LOSSES`."""

from __future__ import annotations

from crosstune.train.losses.base import GroupLoss
from crosstune.train.losses.bce import binary_cross_entropy
from crosstune.train.losses.distillation import kl_divergence
from crosstune.train.losses.lce import localized_contrastive_estimation

__all__ = ["LOSSES", "GroupLoss", "kl_divergence"]

LOSSES: dict[str, GroupLoss] = {
    "bce": binary_cross_entropy,
    "lce": localized_contrastive_estimation,
}
