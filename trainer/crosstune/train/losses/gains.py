"""The gains of nDCG (Burges et al. 2005: `2^grade - 1`)."""

from __future__ import annotations

import torch
from torch import Tensor


def discounts(ranks: Tensor) -> Tensor:
    """`1 / log2(1 + rank)`."""
    return 1 / torch.log2(1 + ranks)


def normal_gains(labels: Tensor, mask: Tensor, depth: int | None = None) -> Tensor:
    """`(2^grade - 1) / ideal DCG@depth` `[groups, docs]`; 0 in a group without a grade above 0.

    Grades below 0 count as 0. Everything is divided by `2^(highest grade)` first, which no quotient shows and
    no grade can make overflow.
    """
    grades = labels.clamp(min=0).masked_fill(~mask, 0)
    highest = grades.amax(dim=1, keepdim=True)
    gains = torch.exp2(grades - highest) - torch.exp2(-highest)
    best_first = gains.sort(dim=1, descending=True).values[:, :depth]
    ranks = torch.arange(1, best_first.shape[1] + 1, device=gains.device, dtype=gains.dtype)
    ideal = (best_first * discounts(ranks)).sum(dim=1, keepdim=True)
    return gains / ideal.clamp(min=torch.finfo(gains.dtype).tiny)
