"""What a loss is given and returns, and what several losses share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax


@dataclass(frozen=True)
class Lists:
    """The groups of a step. Every field is `[groups, docs]`.

    `labels`: grades; `teacher`: a teacher's scores on the scale of logits, nan where there are none; `mask`:
    bool, false where a short group was padded. What is in half precision is taken up to fp32, so that sums
    and squares of large logits stay finite.
    """

    logits: Tensor
    labels: Tensor
    teacher: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        for name in ("logits", "labels", "teacher"):
            value: Tensor = getattr(self, name)
            if value.dtype in (torch.float16, torch.bfloat16):
                object.__setattr__(self, name, value.float())


GroupLoss = Callable[..., Tensor]
"""A function of `Lists`, with at most one option as a keyword; returns the mean over the step, a scalar. It
does not depend on the order of a list, and is 0 for a step without anything to learn."""


def differences(values: Tensor) -> Tensor:
    """`[groups, docs]` -> `[groups, docs, docs]`: each document's value less each other one's."""
    return values[:, :, None] - values[:, None, :]


def ordered_pairs(targets: Tensor, mask: Tensor) -> Tensor:
    """Bool `[groups, docs, docs]`: the first document of the pair has the higher target."""
    both = mask[:, :, None] & mask[:, None, :]
    return (targets[:, :, None] > targets[:, None, :]) & both


def mean_over_groups(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of the `counted` values of each group, then over the groups, so that a long list weighs as
    much as a short one; a group without such a value counts 0. Both are `[groups, ...]`."""
    sums = torch.where(counted, values, 0).flatten(1).sum(1)
    return (sums / counted.flatten(1).sum(1).clamp(min=1)).mean()


def list_log_softmax(values: Tensor, mask: Tensor) -> Tensor:
    """`[groups, docs]`: the log-softmax over each group's documents, 0 where it was padded."""
    return log_softmax(values.masked_fill(~mask, float("-inf")), dim=1).masked_fill(~mask, 0)
