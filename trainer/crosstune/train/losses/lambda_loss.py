"""LambdaLoss with the weights of nDCG@k: NDCG-Loss2++ (Wang et al. 2018, doi:10.1145/3269206.3271784)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from crosstune.train.losses.base import Lists, differences, mean_over_groups, ordered_pairs
from crosstune.train.losses.gains import discounts, normal_gains

MU = 10.0
"""The paper's weight of NDCG-Loss2 beside LambdaRank."""


def lambda_loss(lists: Lists, *, ndcg_depth: int = 10) -> Tensor:
    """`w_ij log2(1 + exp(z_j - z_i))` over the pairs with grade `i` above grade `j` of which the model ranks
    one among the first `ndcg_depth`; mean over the pairs of a group, then over the groups.

    `w_ij = (MU |D(|i-j|) - D(|i-j|+1)| + |D(i) - D(j)|) |G_i - G_j|`, with the ranks that the logits give,
    `D` the discounts and `G` the gains over the ideal DCG@k. Equal logits are ranked worst first, so that
    the order of a list does not matter.
    """
    order = _worst_first_ranking(lists)
    logits, labels, mask = (t.gather(1, order) for t in (lists.logits, lists.labels, lists.mask))
    ranks = torch.arange(1, logits.shape[1] + 1, device=logits.device, dtype=logits.dtype)
    gain_differences = differences(normal_gains(labels, mask, ndcg_depth)).abs()
    weights = (MU * _by_distance(ranks) + differences(discounts(ranks)[None]).abs()) * gain_differences
    costs = weights * softplus(-differences(logits)) / math.log(2)
    in_reach = torch.minimum(ranks[:, None], ranks[None, :]) <= ndcg_depth
    return mean_over_groups(costs, ordered_pairs(labels, mask) & in_reach)


def _worst_first_ranking(lists: Lists) -> Tensor:
    """The places of the documents, `[groups, docs]`, by falling logit, of equal ones the lowest grade
    first."""
    by_grade = lists.labels.argsort(dim=1, stable=True)
    logits = lists.logits.masked_fill(~lists.mask, float("-inf")).gather(1, by_grade)
    return by_grade.gather(1, logits.argsort(dim=1, descending=True, stable=True))


def _by_distance(ranks: Tensor) -> Tensor:
    """`|D(d) - D(d + 1)|` of the distance `d` of two ranks, `[1, docs, docs]`; 0 on the diagonal."""
    distance = differences(ranks[None]).abs()
    step = discounts(distance.clamp(min=1)) - discounts(distance + 1)
    return torch.where(distance > 0, step, 0)
