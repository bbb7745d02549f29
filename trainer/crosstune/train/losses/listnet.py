"""ListNet with the top-one probability (Cao et al. 2007, doi:10.1145/1273496.1273513)."""

from __future__ import annotations

from torch import Tensor

from crosstune.train.losses.base import Lists, list_log_softmax


def list_net(lists: Lists) -> Tensor:
    """`-sum p log q` with `p = softmax(grades)` and `q = softmax(logits)` over each group, mean over the
    groups. Equal grades ask for equal logits."""
    p = list_log_softmax(lists.labels, lists.mask).exp() * lists.mask
    return -(p * list_log_softmax(lists.logits, lists.mask)).sum(dim=1).mean()
