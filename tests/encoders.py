"""Tiny random encoders with a head, of any family, and a padded batch for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

SIZES = {
    "hidden_size": 32,
    "embedding_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 50,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "pad_token_id": 1,
    "initializer_range": 0.3,
    "num_labels": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
LENGTHS = (12, 9, 5, 2, 11)


def tiny_encoder(family: str, layers: int = 3, **sizes: object) -> PreTrainedModel:
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(3)
    config = AutoConfig.for_model(family, num_hidden_layers=layers, **{**SIZES, **sizes})
    return AutoModelForSequenceClassification.from_config(config).eval()


def padded_batch(lengths: Sequence[int] = LENGTHS, seed: int = 5) -> dict[str, torch.Tensor]:
    import torch

    rng = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    mask = (torch.arange(shape[1]) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(4, 50, shape, generator=rng)
    types = torch.randint(0, 2, shape, generator=rng)
    return {"input_ids": torch.where(mask == 1, ids, 1), "attention_mask": mask, "token_type_ids": types}


def gradients(model: PreTrainedModel) -> list[torch.Tensor]:
    """Of all weights that have one, of the squared logits of the batch."""
    model.zero_grad()
    model(**padded_batch()).logits.square().sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]
