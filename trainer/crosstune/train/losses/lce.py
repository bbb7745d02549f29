"""Localized contrastive estimation (Gao, Dai & Callan 2021, arXiv:2101.08751)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import log_softmax


def localized_contrastive_estimation(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """`-log softmax(z)[positive]` over each group, mean over the groups.

    `logits`, `labels`: `[groups, docs]`, one label above 0 in each group; `mask`: bool, same shape.
    """
    log_probabilities = log_softmax(logits.masked_fill(~mask, float("-inf")), dim=1)
    positive = (labels > 0) & mask
    return -log_probabilities[positive].mean()
