"""The optimizer that BERT was published with: Google's `AdamWeightDecayOptimizer` and its schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

NOT_DECAYED = ("LayerNorm", "layer_norm", "bias")
LATE = 1e9
"""The step that AdamW is told it is at: there `1 - beta^step`, which it divides by, is 1, and counting on
does not change it in fp32."""


class BertAdam(torch.optim.AdamW):
    """Adam without bias correction and with decoupled weight decay (google-research/bert, optimization.py):

        m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
        w = w - rate (m / (sqrt(v) + eps) + decay w)

    where `g` is the gradient scaled so that the norm over all parameters is at most `max_grad_norm`. Other
    Adams divide `m` and `v` by `1 - beta^step`, which makes their first steps larger. `parameters` are
    `(name, parameter)` pairs; LayerNorms and biases are not decayed. The update is torch's fused one.
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
            lr=learning_rate,
            betas=betas,
            eps=epsilon,
            fused=True,
        )
        self._max_grad_norm = max_grad_norm

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update; the gradients are left clipped. Raises `ValueError` for a closure, which this optimizer
        does not call."""
        if closure is not None:
            raise ValueError("BertAdam takes no closure")
        moving = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not moving:
            return
        for parameter in moving:
            if not self.state[parameter]:
                self.state[parameter] |= {
                    "step": torch.full((), LATE, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        self._clip([parameter.grad for parameter in moving])
        super().step()

    def _clip(self, gradients: list[Any]) -> None:
        """TensorFlow's `clip_by_global_norm`; torch's own divides by the norm + 1e-6."""
        norm = torch.nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(gradients, self._max_grad_norm / norm.clamp(min=self._max_grad_norm))


def rate_share(step: int, warmup_steps: int, steps: int) -> float:
    """The share of the peak rate at a step, counted from 0.

    `step / warmup_steps` below `warmup_steps`, then `1 - step / steps`: the decay runs over all steps, so
    the rate falls from nearly the peak to `1 - warmup_steps / steps` of it where the warm-up ends.
    """
    if step < warmup_steps:
        return step / warmup_steps
    return max(0.0, 1 - step / steps)
