"""The last layer for the first token alone: the head of a BERT reads nothing else of it.

Keys and values are still those of all tokens; query, attention output, feed-forward and layer norms are
computed for one position. Exact, and about a sixth of the work of a model of six layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

FAMILIES = ("bert", "camembert", "electra", "roberta", "xlm-roberta")
"""Types whose layer is BERT's and whose classification head reads the first token alone."""

EXACT = "computes_in_fp32"
"""Attribute of a layer that is computed in fp32 where the rest is in bf16."""


@contextmanager
def last_layer_for_first_token(model: PreTrainedModel) -> Iterator[bool]:
    """Within the block, the encoder of `model` gives `[batch, 1, hidden]`, for models of `FAMILIES`
    (unless attention is dropped in training).

    Yields whether it does; other families stay as they are. However many layers there are, the last is meant.
    """
    if not can_be_cut(model):
        yield False
        return
    layers = model.base_model.encoder.layer
    last = layers[-1]
    layers[-1] = _first_token(last)
    try:
        yield True
    finally:
        layers[-1] = last


def can_be_cut(model: PreTrainedModel) -> bool:
    """Whether `model` is an encoder of `FAMILIES` whose attention is not dropped: that needs its own code.

    The layers say how much is dropped; the configuration only says what they began with.
    """
    config = model.config
    if config.model_type not in FAMILIES or getattr(config, "is_decoder", False):
        return False
    layers = model.base_model.encoder.layer
    return not (model.training and any(layer.attention.self.dropout.p > 0 for layer in layers))


def as_exact_as(
    layer: Any, forward: Callable[..., torch.Tensor], states: torch.Tensor, *arguments: Any
) -> torch.Tensor:
    """`forward(states, *arguments)`, in fp32 where the layer is marked `EXACT`."""
    import torch

    if not getattr(layer, EXACT, False):
        return forward(states, *arguments)
    with torch.autocast(states.device.type, enabled=False):
        return forward(states.float(), *arguments)


def _first_token(layer: Any) -> Any:
    import torch

    class FirstToken(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(
            self, hidden: torch.Tensor, mask: torch.Tensor | None = None, *_: object, **__: object
        ) -> torch.Tensor:
            """`hidden`: `[batch, sequence, hidden]`; `mask`: `[batch, 1, sequence, sequence]`, True or 0
            where a key counts."""
            return as_exact_as(self.layer, self._forward, hidden, mask)

        def _forward(self, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
            attention = self.layer.attention.self
            first = hidden[:, :1]

            def heads(states: torch.Tensor) -> torch.Tensor:
                shape = (*states.shape[:2], attention.num_attention_heads, attention.attention_head_size)
                return states.view(shape).transpose(1, 2)

            context = torch.nn.functional.scaled_dot_product_attention(
                heads(attention.query(first)),
                heads(attention.key(hidden)),
                heads(attention.value(hidden)),
                attn_mask=None if mask is None else mask[:, :, :1],
            )
            context = context.transpose(1, 2).reshape(first.shape)
            return self.layer.feed_forward_chunk(self.layer.attention.output(context, first))  # type: ignore[no-any-return]

    return FirstToken()
