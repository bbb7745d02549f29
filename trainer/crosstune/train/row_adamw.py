"""AdamW that leaves the rows of a table alone until they are needed, and then makes up for what they missed.

A step touches a few hundred of the 30,000 rows of the word embeddings, which are half of the weights of a
small encoder; the gradient of all others is zero. AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) moves
those too, by what is left of their momentum, but along a line that is known in advance: after `k` steps
without a gradient

    w' = D w - F m / (sqrt(v) + e),    m' = b1^k m,    v' = b2^k v

with the same scalars `D`, `F` for all rows that have waited equally long. This is AdamW itself, but that
epsilon is held at the share of the root that it had in the first missed step.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

AT_ONCE = 4096
"""Rows that are brought up to date in one go: bounds the memory of it."""


class RowAdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`, where a parameter whose gradient is sparse (COO, by rows, as an embedding with
    `sparse=True` gives it) is a table `[rows, width]` whose rows lag behind until `settle` or their next
    gradient. On a CPU."""

    def __init__(self, params: Any, **settings: Any) -> None:
        super().__init__(params, **settings)
        self._waits: dict[Tensor, _Waits] = {}

    @torch.no_grad()
    def settle(self, table: Tensor, rows: Tensor | None = None) -> None:
        """Brings `rows` of `table`, distinct, or all of them, to where AdamW would have them by now."""
        state = self.state.get(table)
        if state is None:
            return
        waits = self._waits_of(table)
        some = torch.arange(len(table), device=table.device) if rows is None else rows
        behind = some[state["settled"][some] < waits.steps]
        for part in torch.split(behind, AT_ONCE):
            self._catch_up(table, part, waits)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    gradient = parameter.grad.coalesce()
                    parameter.grad = None  # AdamW's own step passes it over
                    self._step_rows(parameter, gradient, group)
        super().step(closure)

    def _step_rows(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
            state["settled"] = torch.zeros(len(table), device=table.device)
            state["rates"] = torch.zeros(0)
        rows, values = gradient.indices()[0], gradient.values()
        self.settle(table, rows)
        waits = self._waits_of(table)
        rate = torch.tensor([float(group["lr"])])  # in fp32, as a checkpoint keeps it
        state["rates"] = torch.cat([state["rates"], rate])
        state["step"] += 1
        waits.step(rate.item())
        (beta1, beta2), first, second = group["betas"], *waits.corrections(waits.steps)
        mean = state["exp_avg"][rows].lerp_(values, 1 - beta1)
        square = state["exp_avg_sq"][rows].mul_(beta2).addcmul_(values, values, value=1 - beta2)
        root = square.sqrt().div_(second).add_(group["eps"])
        moved = table[rows].mul_(1 - rate.item() * group["weight_decay"])
        table[rows] = moved.addcdiv_(mean, root, value=-rate.item() / first)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = mean, square
        state["settled"][rows] = float(waits.steps)

    def _catch_up(self, table: Tensor, rows: Tensor, waits: _Waits) -> None:
        state = self.state[table]
        since = state["settled"][rows].long().numpy()
        missed = waits.steps - since

        def column(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values).to(table.dtype)[:, None]

        mean, square = state["exp_avg"][rows], state["exp_avg_sq"][rows]
        move = mean.div(square.sqrt().add_(column(waits.epsilons[since]))).mul_(column(waits.moves[since]))
        table[rows] = table[rows].mul_(column(waits.shrinks[since])).sub_(move)
        state["exp_avg"][rows] = mean.mul_(column(waits.beta1**missed))
        state["exp_avg_sq"][rows] = square.mul_(column(waits.beta2**missed))
        state["settled"][rows] = float(waits.steps)

    def _waits_of(self, table: Tensor) -> _Waits:
        """Made again from the rates where a checkpoint was loaded."""
        rates = self.state[table]["rates"]
        found = self._waits.get(table)
        if found is None or found.steps != len(rates):
            group = next(g for g in self.param_groups if any(p is table for p in g["params"]))
            beta1, beta2 = group["betas"]
            found = self._waits[table] = _Waits(beta1, beta2, group["eps"], group["weight_decay"])
            for rate in rates.tolist():
                found.step(rate)
        return found


class _Waits:
    """What a row has missed by now that was last settled after step `s`, for every `s`: `moves[s]` (F above),
    `shrinks[s]` (D) and `epsilons[s]` (e)."""

    def __init__(self, beta1: float, beta2: float, epsilon: float, decay: float) -> None:
        self.beta1, self.beta2, self._epsilon, self._decay = beta1, beta2, epsilon, decay
        self.steps = 0
        self.moves, self.shrinks, self.epsilons = np.zeros(1), np.ones(1), np.array([self._held(0)])

    def step(self, rate: float) -> None:
        """One step more, at the learning rate `rate`."""
        self.steps += 1
        first, second = self.corrections(self.steps)
        waited = np.arange(self.steps, 0, -1)
        momentum = (self.beta1 / math.sqrt(self.beta2)) ** waited * second / first
        shrink = 1 - rate * self._decay
        self.moves = np.append(self.moves * shrink + rate * momentum, 0.0)
        self.shrinks = np.append(self.shrinks * shrink, 1.0)
        self.epsilons = np.append(self.epsilons, self._held(self.steps))

    def corrections(self, step: int) -> tuple[float, float]:
        """Of the bias of the mean, and of the root of the square."""
        return 1 - self.beta1**step, math.sqrt(1 - self.beta2**step)

    def _held(self, since: int) -> float:
        """Epsilon beside the root of the square as it was after step `since`, in the step after it."""
        return self._epsilon * self.corrections(since + 1)[1] / math.sqrt(self.beta2)
