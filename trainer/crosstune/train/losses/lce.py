"""Localized contrastive estimation (Gao, Dai & Callan 2021, arXiv:2101.08751): InfoNCE (van den Oord, Li &
Vinyals 2018, arXiv:1807.03748) over a group."""

from __future__ import annotations

from torch import Tensor

from crosstune.train.losses.base import Lists, list_log_softmax, mean_over_groups


def localized_contrastive_estimation(lists: Lists) -> Tensor:
    """`-log softmax(z)[positive]` over each group; mean over its positives, then over the groups. A grade
    above 0 counts as positive; a group without one counts 0."""
    positive = (lists.labels > 0) & lists.mask
    return -mean_over_groups(list_log_softmax(lists.logits, lists.mask), positive)
