"""Attention whose backward is quick in bf16 on a CPU too, where that of torch takes half of a step."""

from __future__ import annotations

import torch
from torch import Tensor

_attention = torch.nn.functional.scaled_dot_product_attention
HALF = (torch.bfloat16, torch.float16)


def attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """`softmax(q k^T / sqrt(width)) v`, each `[batch, heads, tokens, width]`; `mask`: bool `[batch, 1, 1,
    keys]`, true where a key counts. On a CPU it is fp32 where a gradient is asked for: there torch's kernel
    is several times as fast as in bf16, with the casts."""
    kind = queries.dtype
    if queries.device.type == "cpu" and kind in HALF and queries.requires_grad:
        with torch.autocast("cpu", enabled=False):
            return _attention(queries.float(), keys.float(), values.float(), attn_mask=mask).to(kind)
    return _attention(queries, keys, values, attn_mask=mask)
