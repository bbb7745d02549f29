"""Rates that differ by weight: lower in lower layers, higher in adapters."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from crosstune.train.layers import depths
from crosstune.train.lora import ADAPTER
from crosstune.train.tuning_config import RATE

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from crosstune.train.config import TrainSettings
    from crosstune.train.loop import Rates


def chosen_rates(settings: TrainSettings, rate: float) -> Rates | None:
    """What makes the optimizer's groups; `None` where all weights have one `rate`."""
    if settings.layer_decay == 1 and settings.lora.rank is None:
        return None
    return partial(rate_groups, settings=settings, rate=rate)


def rate_groups(
    model: PreTrainedModel, decaying: Collection[str], *, settings: TrainSettings, rate: float
) -> list[dict[str, Any]]:
    """The groups of an optimizer: those weights of `model` that are trained, each at its rate. The head has
    `rate` and comes first, each layer below `settings.layer_decay` of that of the one above (Howard & Ruder
    2018, arXiv:1801.06146), adapters as much of their own. `decaying`: names of the weights that decay.
    """
    of_adapters = settings.lora.learning_rate or min(1.0, RATE * rate)
    depth = depths(model)
    top = max(depth.values())
    groups: dict[tuple[float, float], list[Any]] = {(rate, settings.weight_decay): []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            own = of_adapters if ADAPTER in name else rate
            key = (
                own * settings.layer_decay ** (top - depth[name]),
                settings.weight_decay if name in decaying else 0.0,
            )
            groups.setdefault(key, []).append(parameter)
    return [{"params": found, "lr": lr, "weight_decay": decay} for (lr, decay), found in groups.items()]
