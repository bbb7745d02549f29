"""ListMLE (Xia et al. 2008, doi:10.1145/1390156.1390306) and its position-aware form (p-ListMLE: Lan et al.
2014, UAI). Both want the likelihood of the best order; equal grades have no order, so they share a place as
in Breslow's form of the same likelihood (1974, doi:10.2307/2529620): the order of a list does not matter."""

from __future__ import annotations

import torch
from torch import Tensor

from crosstune.train.losses.base import Lists


def list_mle(lists: Lists) -> Tensor:
    """`sum_i log sum_{j: grade j <= grade i} exp(z_j - z_i)` over each group, mean over the groups."""
    return _costs(lists).sum(dim=1).mean()


def position_aware_list_mle(lists: Lists) -> Tensor:
    """The same, each term weighed by `2^(n - place) - 1` for a list of `n`, over the sum of the weights:
    errors at the top cost most. Equal grades share the mean of their places' weights."""
    return (_costs(lists) * _weights(lists)).sum(dim=1).mean()


def _costs(lists: Lists) -> Tensor:
    """`[groups, docs]`, 0 where a group was padded."""
    labels, mask = lists.labels, lists.mask
    rivals = (labels[:, None, :] <= labels[:, :, None]) & mask[:, None, :]
    rivals = rivals | ~mask[:, :, None]  # an empty row's gradient would be nan
    logits = lists.logits[:, None, :].masked_fill(~rivals, float("-inf"))
    return (logits.logsumexp(dim=2) - lists.logits).masked_fill(~mask, 0)


def _weights(lists: Lists) -> Tensor:
    """`[groups, docs]`, summing to 1 in each group, unless it has one document: its place needs no
    learning."""
    labels, mask = lists.labels, lists.mask
    size = mask.sum(dim=1, keepdim=True)
    places = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    # Both terms are divided by 2^n, which a long list would make overflow.
    by_place = (torch.exp2(-places.to(lists.logits)) - torch.exp2(-size.to(lists.logits))).clamp(min=0)
    above = ((labels[:, None, :] > labels[:, :, None]) & mask[:, None, :]).sum(dim=2, keepdim=True)
    equal = ((labels[:, None, :] == labels[:, :, None]) & mask[:, None, :]).sum(dim=2, keepdim=True)
    shared = (places > above) & (places <= above + equal)
    weights = (by_place[:, None, :] * shared).sum(dim=2) / equal.squeeze(2).clamp(min=1) * mask
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
