"""Approximate nDCG (Qin, Liu & Li 2010, doi:10.1007/s10791-009-9124-x; Bruch et al. 2019,
doi:10.1145/3331184.3331347)."""

from __future__ import annotations

import torch
from torch import Tensor

from crosstune.train.losses.base import Lists, differences
from crosstune.train.losses.gains import discounts, normal_gains


def approximate_ndcg(lists: Lists, *, temperature: float = 1.0) -> Tensor:
    """`1 - nDCG` with the smooth ranks `1 + sum_{j != i} s((z_j - z_i) / temperature)`, mean over the groups;
    a group without a grade above 0 counts 0.

    The lower the temperature, the nearer to nDCG, and the fewer pairs have a gradient.
    """
    others = lists.mask[:, None, :] & ~torch.eye(
        lists.mask.shape[1], dtype=torch.bool, device=lists.mask.device
    )
    above = torch.sigmoid(-differences(lists.logits) / temperature)
    ranks = 1 + torch.where(others, above, 0).sum(dim=2)
    ndcg = (normal_gains(lists.labels, lists.mask) * discounts(ranks)).sum(dim=1)
    relevant = ((lists.labels > 0) & lists.mask).any(dim=1)
    return torch.where(relevant, 1 - ndcg, 0).mean()
