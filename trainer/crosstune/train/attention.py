"""Attention in bf16 whose backward is quick on a CPU, where that of torch's kernel takes half of a step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

HALF = (torch.bfloat16, torch.float16)


def attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """`softmax(q k^T / sqrt(width)) v`, each `[batch, heads, tokens, width]`; `mask`: bool `[batch, 1, 1,
    keys]`, true where a key counts."""
    if queries.device.type == "cpu" and queries.dtype in HALF and queries.requires_grad:
        return _Attention.apply(queries, keys, values, mask)  # type: ignore[no-any-return, no-untyped-call]
    return torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)


class _Attention(torch.autograd.Function):
    """Forward is torch's own; backward computes the weights again, by plain matrix products, so that nothing
    of the size tokens x tokens is kept."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        ctx.save_for_backward(queries, keys, values, mask)
        return torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        queries, keys, values, mask = ctx.saved_tensors
        scale = queries.shape[-1] ** -0.5
        scores = (queries @ keys.transpose(-1, -2)).float() * scale
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        weights = scores.softmax(-1)
        of_weights = (gradient @ values.transpose(-1, -2)).float()
        of_scores = weights * (of_weights - (weights * of_weights).sum(-1, keepdim=True)) * scale
        of_scores = of_scores.to(queries.dtype)
        return (
            of_scores @ keys,
            of_scores.transpose(-1, -2) @ queries,
            weights.to(values.dtype).transpose(-1, -2) @ gradient,
            None,
        )
