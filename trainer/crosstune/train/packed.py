"""The encoder without padding: the linear maps of a BERT see one row a real token, however long the texts.

Attention alone is padded, batch by batch, and the last layer is computed for the first token alone, as in
`first_token`. Exact; what padding was costs nothing, and the matrix products of a few short texts become one
large one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from crosstune.first_token import as_exact_as, can_be_cut
from crosstune.train.attention import attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def packed(model: PreTrainedModel, *, all_tokens: bool = False) -> Iterator[bool]:
    """Within the block, the encoder of `model` leaves padding out, for the models of which
    `first_token.can_be_cut` is true. It gives `[batch, 1, hidden]`, or, for `all_tokens`, `[batch, sequence,
    hidden]` with states that mean nothing where there is no token.

    Yields whether it does; other families stay as they are. `model` is called as always, padded on the right.
    """
    if not can_be_cut(model):
        yield False
        return
    whole = model.base_model.encoder
    model.base_model.encoder = _Packed(whole, all_tokens)
    try:
        yield True
    finally:
        model.base_model.encoder = whole


@dataclass(frozen=True)
class _Shape:
    """Where the tokens of a batch stand.

    `places`: `[tokens]`, in the flattened `[batch, sequence]`; `slots`: `[batch * sequence]`, the token that
    stands there, any where there is none; `firsts`: `[batch]`, the first token of each text; `mask`:
    `[batch, 1, 1, sequence]`, which keys count, None where all do.
    """

    batch: int
    sequence: int
    places: Tensor
    slots: Tensor
    firsts: Tensor
    mask: Tensor | None

    @classmethod
    def of(cls, states: Tensor, mask: Tensor | None) -> _Shape:
        """`states`: `[batch, sequence, hidden]`; `mask`: `[batch, 1, sequence, sequence]`, True or 0 where a
        key counts."""
        batch, sequence = states.shape[:2]
        if mask is None:
            real = torch.ones(batch, sequence, dtype=torch.bool, device=states.device)
        else:
            real = mask[:, 0, 0] if mask.dtype == torch.bool else mask[:, 0, 0] == 0
        lengths = real.sum(1)
        flat = real.flatten()
        return cls(
            batch,
            sequence,
            flat.nonzero().squeeze(1),
            (flat.cumsum(0) - 1).clamp(min=0),
            lengths.cumsum(0) - lengths,
            None if mask is None else real[:, None, None],
        )

    def heads(self, states: Tensor, count: int) -> Tensor:
        """`[tokens, width]` -> `[batch, heads, sequence, width / heads]`."""
        return self.padded(states).view(self.batch, self.sequence, count, -1).transpose(1, 2)

    def padded(self, states: Tensor) -> Tensor:
        """`[tokens, width]` -> `[batch * sequence, width]`."""
        if self.mask is None:
            return states
        return _Pad.apply(states, self.places, self.slots)  # type: ignore[no-any-return, no-untyped-call]

    def tokens(self, context: Tensor) -> Tensor:
        """The way back from `heads`."""
        flat = context.transpose(1, 2).reshape(self.batch * self.sequence, -1)
        return flat if self.mask is None else self.take(flat)

    def take(self, flat: Tensor) -> Tensor:
        """The rows of the tokens, of all that were padded."""
        return _Unpad.apply(flat, self.places)  # type: ignore[no-any-return, no-untyped-call]


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


class _Packed(torch.nn.Module):
    def __init__(self, encoder: Any, all_tokens: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.all_tokens = all_tokens

    def forward(
        self, hidden: Tensor, attention_mask: Tensor | None = None, *_: object, **__: object
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        shape = _Shape.of(hidden, attention_mask)
        states = hidden.flatten(0, 1)
        if shape.mask is not None:
            states = shape.take(states)
        *layers, last = self.encoder.layer
        for layer in layers:
            states = _layer(layer, states, shape)
        if self.all_tokens:
            result = shape.padded(_layer(last, states, shape)).view(shape.batch, shape.sequence, -1)
        else:
            result = as_exact_as(last, partial(_first_tokens, last), states, shape)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=result)


def _layer(layer: Any, states: Tensor, shape: _Shape) -> Tensor:
    own = layer.attention.self
    context = attention(
        shape.heads(own.query(states), own.num_attention_heads),
        shape.heads(own.key(states), own.num_attention_heads),
        shape.heads(own.value(states), own.num_attention_heads),
        shape.mask,
    )
    return _rest(layer, shape.tokens(context), states)


def _first_tokens(layer: Any, states: Tensor, shape: _Shape) -> Tensor:
    """`[tokens, hidden]` -> `[batch, 1, hidden]`."""
    own = layer.attention.self
    first = states.index_select(0, shape.firsts)
    queries = own.query(first).view(shape.batch, 1, own.num_attention_heads, -1).transpose(1, 2)
    context = attention(
        queries,
        shape.heads(own.key(states), own.num_attention_heads),
        shape.heads(own.value(states), own.num_attention_heads),
        shape.mask,
    )
    return _rest(layer, context.transpose(1, 2).reshape(shape.batch, -1), first)[:, None]


def _rest(layer: Any, context: Tensor, states: Tensor) -> Tensor:
    """Attention output and feed-forward, with the layer's own dropout and norms."""
    return layer.feed_forward_chunk(layer.attention.output(context, states))  # type: ignore[no-any-return]
