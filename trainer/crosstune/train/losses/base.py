"""What a loss is given and returns."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class GroupLoss(Protocol):
    """`logits`, `labels`: float `[groups, docs]`; `mask`: bool `[groups, docs]`, false where a short
    group was padded. Returns the mean over the batch, a scalar."""

    def __call__(self, logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor: ...
