"""MarginMSE (Hofstaetter et al. 2020, arXiv:2010.02666)."""

from __future__ import annotations

from torch import Tensor

from crosstune.train.losses.base import Lists, differences, mean_over_groups, ordered_pairs


def margin_mse(lists: Lists) -> Tensor:
    """`((z_i - z_j) - (t_i - t_j))^2` with the teacher's logits `t`, over the pairs with grade `i` above
    grade `j`; mean over the pairs of a group, then over the groups."""
    teacher = lists.teacher.masked_fill(~lists.mask, 0)  # nan times 0 would be nan in the gradient
    errors = (differences(lists.logits) - differences(teacher)) ** 2
    return mean_over_groups(errors, ordered_pairs(lists.labels, lists.mask))
