"""Distillation of a teacher's scores over a list (KL divergence, as in Lin et al. 2020, arXiv:2010.11386)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import log_softmax


def kl_divergence(logits: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """`sum p (log p - log q)` with `p = softmax(teacher)` and `q = softmax(logits)` over each group, mean
    over the groups.

    `logits`, `teacher`: `[groups, docs]`, the teacher's scores on the scale of logits; `mask`: bool, same
    shape, false where a short group was padded.
    """
    lowest = float("-inf")
    log_p = log_softmax(teacher.masked_fill(~mask, lowest), dim=1).masked_fill(~mask, 0)
    log_q = log_softmax(logits.masked_fill(~mask, lowest), dim=1).masked_fill(~mask, 0)
    return (log_p.exp() * (log_p - log_q) * mask).sum(dim=1).mean()
