"""Pointwise binary cross-entropy (monoBERT: Nogueira & Cho 2019, arXiv:1901.04085)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def binary_cross_entropy(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """`-[y log s(z) + (1 - y) log(1 - s(z))]`, mean over the pairs; a grade above 0 counts as 1.

    `logits`, `labels`: `[groups, docs]`; `mask`: bool, same shape.
    """
    targets = (labels[mask] > 0).to(logits.dtype)
    return binary_cross_entropy_with_logits(logits[mask], targets)
