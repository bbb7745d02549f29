"""The optimizer that BERT was published with: Google's `AdamWeightDecayOptimizer` and its schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

AT_ONCE = 32
"""Tensors of an update; what it holds beside them is three times their size."""
NOT_DECAYED = ("LayerNorm", "layer_norm", "bias")


class BertAdam(Optimizer):
    """Adam without bias correction and with decoupled weight decay (google-research/bert, optimization.py):

        m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
        w = w - rate (m / (sqrt(v) + eps) + decay w)

    where `g` is the gradient scaled so that the norm over all parameters is at most `max_grad_norm`. Other
    Adams divide `m` and `v` by `1 - beta^step`, which makes their first steps larger. `parameters` are
    `(name, parameter)` pairs; LayerNorms and biases are not decayed.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, torch.nn.Parameter]],
        *,
        learning_rate: float,
        betas: tuple[float, float],
        epsilon: float,
        weight_decay: float,
        max_grad_norm: float,
    ) -> None:
        named = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
        spared = {name for name, _ in named if any(part in name for part in NOT_DECAYED)}
        groups = [
            {"params": [p for name, p in named if name not in spared], "weight_decay": weight_decay},
            {"params": [p for name, p in named if name in spared], "weight_decay": 0.0},
        ]
        super().__init__(
            [group for group in groups if group["params"]],
            {"lr": learning_rate, "betas": betas, "eps": epsilon, "max_grad_norm": max_grad_norm},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update. Raises `ValueError` for a closure, which this optimizer does not call."""
        if closure is not None:
            raise ValueError("BertAdam takes no closure")
        scale = self._clipping()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            for first in range(0, len(parameters), AT_ONCE):
                self._update(parameters[first : first + AT_ONCE], scale, group)

    def _clipping(self) -> Tensor:
        """TensorFlow's `clip_by_global_norm`; torch's own divides by the norm + 1e-6."""
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not gradients:
            return torch.ones(())
        limit = float(self.param_groups[0]["max_grad_norm"])
        norm: Tensor = torch.nn.utils.get_total_norm(gradients).clamp(min=limit)
        return limit / norm

    def _update(self, parameters: list[Tensor], scale: Tensor, group: dict[str, Any]) -> None:
        """Many tensors at once: one by one, a GPU would wait for the next call most of the time."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] |= {"m": torch.zeros_like(parameter), "v": torch.zeros_like(parameter)}
        gradients = torch._foreach_mul([p.grad for p in parameters if p.grad is not None], scale)
        means, squares = ([self.state[parameter][name] for parameter in parameters] for name in "mv")
        beta1, beta2 = group["betas"]
        torch._foreach_mul_(means, beta1)
        torch._foreach_add_(means, gradients, alpha=1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        updates = torch._foreach_div(means, roots)
        if group["weight_decay"]:
            torch._foreach_add_(updates, parameters, alpha=group["weight_decay"])
        torch._foreach_mul_(updates, group["lr"])
        torch._foreach_sub_(parameters, updates)


def rate_share(step: int, warmup_steps: int, steps: int) -> float:
    """The share of the peak rate at a step, counted from 0.

    `step / warmup_steps` below `warmup_steps`, then `1 - step / steps`: the decay runs over all steps, so
    the rate falls from nearly the peak to `1 - warmup_steps / steps` of it where the warm-up ends.
    """
    if step < warmup_steps:
        return step / warmup_steps
    return max(0.0, 1 - step / steps)
