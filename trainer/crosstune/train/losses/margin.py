"""Pairwise hinge (RankSVM: Herbrich, Graepel & Obermayer 1999, doi:10.1049/cp:19991091; the margin ranking
loss of torch)."""

from __future__ import annotations

from torch import Tensor

from crosstune.train.losses.base import Lists, differences, mean_over_groups, ordered_pairs


def margin_ranking(lists: Lists, *, margin: float = 1.0) -> Tensor:
    """`max(0, margin - (z_i - z_j))` over the pairs with grade `i` above grade `j`; mean over the pairs of a
    group, then over the groups."""
    hinges = (margin - differences(lists.logits)).clamp(min=0)
    return mean_over_groups(hinges, ordered_pairs(lists.labels, lists.mask))
