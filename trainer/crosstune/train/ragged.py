"""A batch of texts of unequal length without padding: one row a token, and attention within each text."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crosstune.train.attention import HALF, attention

VARIABLE_LENGTH = importlib.util.find_spec("torch.nn.attention.varlen") is not None
"""torch 2.10 and newer bring flash attention over texts of unequal length."""
COARSENESS = 5
"""On a CPU in bf16, a number of rows has this many binary digits before its zeros at most: for each number
that a matrix product has not had yet kernels are compiled, and kept (oneDNN). What is added is padding."""


@dataclass(frozen=True)
class Ragged:
    """Where the tokens of a batch stand, and some padding after those of a text where that is quicker.

    `places`: `[tokens]`, in the flattened `[batch, sequence]`; `slots`: `[batch * sequence]`, the token that
    stands there, any where there is none; `starts`: int32 `[batch + 1]`, the first token of each text and the
    number of all; `mask`: `[batch, 1, 1, sequence]`, which keys count, None where all do.
    """

    batch: int
    sequence: int
    places: Tensor
    slots: Tensor
    starts: Tensor
    mask: Tensor | None

    @classmethod
    def of(cls, states: Tensor, mask: Tensor | None) -> Ragged:
        """`states`: `[batch, sequence, hidden]`; `mask`: `[batch, 1, sequence, sequence]`, True or 0 where a
        key counts."""
        batch, sequence = states.shape[:2]
        if mask is None:
            real = torch.ones(batch, sequence, dtype=torch.bool, device=states.device)
        else:
            real = mask[:, 0, 0] if mask.dtype == torch.bool else mask[:, 0, 0] == 0
        taken = _rounded(real) if states.device.type == "cpu" and torch.is_autocast_enabled("cpu") else real
        flat = taken.flatten()
        return cls(
            batch,
            sequence,
            flat.nonzero().squeeze(1),
            (flat.cumsum(0) - 1).clamp(min=0),
            torch.nn.functional.pad(taken.sum(1).cumsum(0), (1, 0)).int(),
            None if mask is None else real[:, None, None],
        )

    def take(self, flat: Tensor) -> Tensor:
        """`[batch * sequence, width]` -> the rows of the tokens, `[tokens, width]`."""
        if self.mask is None:
            return flat
        return _Unpad.apply(flat, self.places)  # type: ignore[no-any-return, no-untyped-call]

    def padded(self, states: Tensor) -> Tensor:
        """`[tokens, width]` -> `[batch * sequence, width]`."""
        if self.mask is None:
            return states
        return _Pad.apply(states, self.places, self.slots)  # type: ignore[no-any-return, no-untyped-call]

    def firsts(self, states: Tensor) -> Tensor:
        """The first token of each text, `[batch, width]`."""
        return states.index_select(0, self.starts[:-1])

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
        """Attention within each text. `keys`, `values`: `[tokens, width]`; `queries`: the same, or `[batch,
        width]`, one a text. Gives as many rows as `queries` has."""
        if has_kernel(queries, heads):
            return self._without_padding(queries, keys, values, heads)
        one_a_text = len(queries) != len(keys)
        context = attention(
            queries.view(self.batch, 1, heads, -1).transpose(1, 2)
            if one_a_text
            else self._heads(queries, heads),
            self._heads(keys, heads),
            self._heads(values, heads),
            self.mask,
        )
        flat = context.transpose(1, 2).reshape(-1, queries.shape[-1])
        return flat if one_a_text else self.take(flat)

    def _without_padding(self, queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
        from torch.nn.attention.varlen import varlen_attn

        one_a_text = len(queries) != len(keys)
        starts = torch.arange(self.batch + 1, dtype=torch.int32, device=keys.device)
        context = varlen_attn(
            queries.view(len(queries), heads, -1),
            keys.view(len(keys), heads, -1),
            values.view(len(values), heads, -1),
            starts if one_a_text else self.starts,
            self.starts,
            1 if one_a_text else self.sequence,
            self.sequence,
        )
        return context.flatten(1)  # type: ignore[union-attr]

    def _heads(self, states: Tensor, heads: int) -> Tensor:
        """`[tokens, width]` -> `[batch, heads, sequence, width / heads]`."""
        return self.padded(states).view(self.batch, self.sequence, heads, -1).transpose(1, 2)


def _rounded(real: Tensor) -> Tensor:
    """`[batch, sequence]`, true where a token is, and where padding is that rounds their number up, as far as
    there is so much."""
    flat = real.flatten()
    count = int(flat.sum())
    more = -count % 2 ** max(0, count.bit_length() - COARSENESS)
    rounded: Tensor = flat | ((~flat).cumsum(0) <= more)
    return rounded.view_as(real)


def has_kernel(states: Tensor, heads: int) -> bool:
    """Whether flash attention takes `states`, `[tokens, width]`, as they are."""
    width = states.shape[-1] // heads
    return (
        VARIABLE_LENGTH
        and states.is_cuda
        and states.dtype in HALF
        and width % 8 == 0
        and width <= 256
        and torch.cuda.get_device_capability(states.device) >= (8, 0)
    )


class _Pad(torch.autograd.Function):
    """Rows of tokens -> rows of all places. Where there is no token stands another's: no mask lets it count,
    so that its gradient is 0."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, places: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        return states.index_select(0, slots)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return gradient.index_select(0, places), None, None


class _Unpad(torch.autograd.Function):
    """Rows of all places -> rows of tokens. Backward writes each once, where torch's own adds them up."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.rows = len(flat)
        return flat.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        whole = gradient.new_zeros(ctx.rows, gradient.shape[-1])
        return whole.index_copy_(0, places, gradient), None
