"""RankNet on grades (Burges et al. 2005, doi:10.1145/1102351.1102363), and on a teacher's order
(Rank-DistiLLM: Schlatt et al. 2024, arXiv:2405.07920)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from crosstune.train.losses.base import Lists, differences, mean_over_groups, ordered_pairs


def ranknet(lists: Lists) -> Tensor:
    """`log(1 + exp(z_j - z_i))` over the pairs with grade `i` above grade `j`; mean over the pairs of a
    group, then over the groups."""
    return _logistic(lists, lists.labels)


def teacher_ranknet(lists: Lists) -> Tensor:
    """The same over the pairs that the teacher scores differently: its order is learned, not its scale, so a
    teacher that only ranks (a language model) can be learned from."""
    return _logistic(lists, lists.teacher)


def _logistic(lists: Lists, targets: Tensor) -> Tensor:
    costs = softplus(-differences(lists.logits))
    return mean_over_groups(costs, ordered_pairs(targets, lists.mask))
