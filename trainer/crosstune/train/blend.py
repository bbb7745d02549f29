"""Weights on the straight line between those that training began with and those that it found.

Where a model ranks well before it is trained, some between the two often rank better than both, above all on
data of another kind (Wortsman et al. 2022, arXiv:2109.01903); what training spoiled on the way is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHARES = (0.25, 0.5, 0.75)
"""Of the way from the start to what was found."""


@torch.no_grad()
def take_best_blend(
    model: PreTrainedModel,
    start: Mapping[str, Tensor],
    found: float,
    judged: Callable[[float], float],
) -> tuple[float, float]:
    """Leaves `model`, whose weights are those that were found, with those of the share that ranks best: of
    `SHARES`, and of the whole way, which `found` says how good it is; at a tie those nearer to the start.

    `judged(share)` says how good the model is as it stands. Returns the share and how good it is.
    """
    end = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    values = {}
    for share in SHARES:
        blend(model, start, end, share)
        values[share] = judged(share)
    values[1.0] = found
    best = max(values, key=values.__getitem__)
    blend(model, start, end, best)
    return best, values[best]


@torch.no_grad()
def blend(
    model: PreTrainedModel, start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float
) -> None:
    """Gives `model` the weights at `share` of the way from `start` to `end`."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.lerp(start[name].to(tensor), end[name], share))
