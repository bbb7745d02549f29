"""Distillation of a teacher's scores over a list (KL divergence, as in Lin et al. 2020, arXiv:2010.11386)."""

from __future__ import annotations

from torch import Tensor

from crosstune.train.losses.base import Lists, list_log_softmax


def kl_divergence(lists: Lists) -> Tensor:
    """`sum p (log p - log q)` with `p = softmax(teacher)` and `q = softmax(logits)` over each group, mean
    over the groups."""
    log_p = list_log_softmax(lists.teacher, lists.mask)
    log_q = list_log_softmax(lists.logits, lists.mask)
    return (log_p.exp() * (log_p - log_q) * lists.mask).sum(dim=1).mean()
