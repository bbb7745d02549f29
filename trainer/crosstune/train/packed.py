"""The encoder without padding: the linear maps of a BERT see one row a real token, however long the texts.

Attention alone is padded, batch by batch, where there is no kernel for texts of unequal length, and the
last layer is computed for the first token alone, as in `first_token`. Exact; what padding was costs nothing,
and the matrix products of a few short texts become one large one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from crosstune.first_token import as_exact_as, can_be_cut
from crosstune.train.ragged import Ragged

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


class _Packed(torch.nn.Module):
    def __init__(self, encoder: Any, all_tokens: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.all_tokens = all_tokens

    def forward(
        self, hidden: Tensor, attention_mask: Tensor | None = None, *_: object, **__: object
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        shape = Ragged.of(hidden, attention_mask)
        states = shape.take(hidden.flatten(0, 1))
        *layers, last = self.encoder.layer
        for layer in layers:
            states = _layer(layer, states, shape)
        if self.all_tokens:
            result = shape.padded(_layer(last, states, shape)).view(shape.batch, shape.sequence, -1)
        else:
            result = as_exact_as(last, partial(_first_tokens, last), states, shape)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=result)


def _layer(layer: Any, states: Tensor, shape: Ragged) -> Tensor:
    return _rest(layer, _attend(layer, states, states, shape), states)


def _first_tokens(layer: Any, states: Tensor, shape: Ragged) -> Tensor:
    """`[tokens, hidden]` -> `[batch, 1, hidden]`."""
    first = shape.firsts(states)
    return _rest(layer, _attend(layer, first, states, shape), first)[:, None]


def _attend(layer: Any, looking: Tensor, states: Tensor, shape: Ragged) -> Tensor:
    own = layer.attention.self
    return shape.attend(own.query(looking), own.key(states), own.value(states), own.num_attention_heads)


def _rest(layer: Any, context: Tensor, states: Tensor) -> Tensor:
    """Attention output and feed-forward, with the layer's own dropout and norms."""
    return layer.feed_forward_chunk(layer.attention.output(context, states))  # type: ignore[no-any-return]
