"""What flows through a BERT while it reads single texts, as a bi-encoder reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from crosstune.serve.pairs import EncodedPair, token_budget_batches
from crosstune.train.batching import model_inputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH_TOKENS = 4096


@dataclass(frozen=True)
class LayerActivations:
    """Of one layer, `[tokens, width]`: what attention and feed-forward read, queries and keys of all heads,
    and what goes into the two layer norms."""

    attention_input: Tensor
    feed_forward_input: Tensor
    queries: Tensor
    keys: Tensor
    first_norm_input: Tensor
    second_norm_input: Tensor


@dataclass(frozen=True)
class Activations:
    """`embedded`: what goes into the embeddings' layer norm, `[tokens, hidden]`; `first`: bool `[tokens]`,
    which of them are `[CLS]`."""

    embedded: Tensor
    first: Tensor
    layers: list[LayerActivations]


@torch.inference_mode()
def sample_activations(bert: PreTrainedModel, texts: Sequence[Sequence[int]]) -> Activations:
    """`texts`: ids of single texts, special tokens included."""
    parts: Any = bert
    found: dict[tuple[int, str], list[Tensor]] = {}
    real = torch.empty(0)
    hooks = []

    def keep(key: tuple[int, str], module: Any, *, output: bool) -> None:
        def after(_: Any, __: Any, result: Tensor) -> None:
            found.setdefault(key, []).append(result[real])

        def before(_: Any, arguments: tuple[Tensor, ...]) -> None:
            found.setdefault(key, []).append(arguments[0][real])

        hook = module.register_forward_hook(after) if output else module.register_forward_pre_hook(before)
        hooks.append(hook)

    keep((-1, "embedded"), parts.embeddings.LayerNorm, output=False)
    for number, layer in enumerate(parts.encoder.layer):
        own = layer.attention.self
        keep((number, "attention_input"), own.query, output=False)
        keep((number, "feed_forward_input"), layer.intermediate.dense, output=False)
        keep((number, "queries"), own.query, output=True)
        keep((number, "keys"), own.key, output=True)
        keep((number, "first_norm_input"), layer.attention.output.LayerNorm, output=False)
        keep((number, "second_norm_input"), layer.output.LayerNorm, output=False)
    first: list[Tensor] = []
    try:
        for batch in token_budget_batches([len(ids) for ids in texts], BATCH_TOKENS):
            rows = [EncodedPair(list(texts[i]), [0] * len(texts[i]), 0, 0) for i in batch]
            names = ["input_ids", "attention_mask", "token_type_ids"]
            inputs = {name: t.to(bert.device) for name, t in model_inputs(rows, 0, names).items()}
            real = inputs["attention_mask"].bool()
            first.append((torch.arange(real.shape[1], device=real.device) == 0).expand_as(real)[real])
            bert(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    whole = {key: torch.cat(tensors) for key, tensors in found.items()}
    layers = [
        LayerActivations(**{name: tensor for (place, name), tensor in whole.items() if place == number})
        for number in range(len(parts.encoder.layer))
    ]
    return Activations(whole[-1, "embedded"], torch.cat(first), layers)
