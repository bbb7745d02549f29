"""Pointwise binary cross-entropy (monoBERT: Nogueira & Cho 2019, arXiv:1901.04085)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from crosstune.train.losses.base import Lists


def binary_cross_entropy(lists: Lists, *, pos_weight: float = 1.0) -> Tensor:
    """`-[w y log s(z) + (1 - y) log(1 - s(z))]`, mean over the documents; a grade above 0 counts as 1.

    `pos_weight` is `w`: with 7 negatives for each positive, 7 lets both weigh the same.
    """
    logits, labels = lists.logits[lists.mask], lists.labels[lists.mask]
    weight = None if pos_weight == 1 else logits.new_tensor(pos_weight)
    return binary_cross_entropy_with_logits(logits, (labels > 0).to(logits.dtype), pos_weight=weight)
