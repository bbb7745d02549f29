"""The layer that compares query and passage in `[CLS]`.

Half of its heads average the query's states and half the passage's, along the directions in which the texts'
vectors lie; the layer norm brings both to the same length, and the feed-forward sums their products by
`q p = ((q + p)^2 - (q - p)^2) / 4`, with `gelu(x) + gelu(-x)` as the square.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from crosstune.train.comparison.segments import Markers

BLIND = 20.0
"""What is subtracted from the attention score of a token of the segment that a head does not average."""
INSIDE = 0.5
"""Weight into the feed-forward: keeps most sums where gelu(x) + gelu(-x) is near a square."""
PRODUCT = 0.14
RESULT, REST = 0.3, 0.1
"""Weight of the last norm for the sum of products and for all else: what is new starts quiet, so that the
optimiser's first steps, of one size for all weights, do not drown the comparison."""
POOLED = 1.0
LOGIT = 3.0
NOISE = 0.002
UNUSED = 0.02
"""Spread of the weights that start with nothing to do, beside the structure and where there is none."""


@torch.no_grad()
def add_comparison(
    network: PreTrainedModel, markers: Markers, means: tuple[Tensor, Tensor], anchor: Tensor, seed: int
) -> None:
    """Adds the layer and the head that reads it to `network`, a `BertForSequenceClassification` of one label
    whose segments are marked, in place.

    `means`: mean states of queries and of passages, each `[texts, hidden]`; `anchor`: `[CLS]`'s, `[hidden]`.
    """
    model: Any = network
    bert = model.base_model
    generator = torch.Generator().manual_seed(seed)
    layer = type(bert.encoder.layer[-1])(network.config).train(network.training)  # its draws are written over
    own = layer.attention.self
    for part in (
        *(own.query, own.key, own.value, layer.attention.output.dense),
        *(layer.intermediate.dense, layer.output.dense, bert.pooler.dense, model.classifier),
    ):
        part.weight.copy_(_noise(part.weight, NOISE, generator))
        part.bias.zero_()
    for norm in (layer.attention.output.LayerNorm, layer.output.LayerNorm):
        norm.weight.fill_(1)
        norm.bias.zero_()
    _average_each_segment(own, markers)
    free = [place for place in range(network.config.hidden_size) if place not in markers.all]
    half = len(free) // 2
    _bring_side_by_side(layer.attention, free, half, means, generator)
    layer.attention.output.dense.bias -= anchor  # what [CLS] adds to every text alike
    _sum_of_products(layer, markers.query, free, half, generator)
    layer.output.LayerNorm.weight.fill_(REST)
    layer.output.LayerNorm.weight[markers.query] = RESULT
    bert.pooler.dense.weight[0, markers.query] = POOLED
    model.classifier.weight[0, 0] = LOGIT
    bert.encoder.layer.append(layer)
    network.config.num_hidden_layers += 1


def _noise(like: Tensor, size: float, generator: torch.Generator) -> Tensor:
    return size * torch.randn(like.shape, generator=generator).to(like)


def _average_each_segment(own: Any, markers: Markers) -> None:
    """The first half of the heads does not see the passage, the second does not see the query."""
    size = math.sqrt(BLIND * math.sqrt(own.attention_head_size))
    for head in range(own.num_attention_heads):
        row = head * own.attention_head_size
        unseen = markers.passage if head < own.num_attention_heads // 2 else markers.query
        own.query.weight[row], own.query.bias[row] = 0, size
        own.key.weight[row] = 0
        own.key.weight[row, unseen], own.key.weight[row, markers.empty] = -size, size


def _bring_side_by_side(
    attention: Any,
    free: list[int],
    half: int,
    means: tuple[Tensor, Tensor],
    generator: torch.Generator,
) -> None:
    """`[CLS]` becomes (query's mean, passage's mean), along `half` directions each and at equal length: then
    the layer norm leaves their cosine, to second order in how far the lengths differ."""
    queries, passages = means[0][:, free], means[1][:, free]
    directions = torch.linalg.svd(torch.cat([queries, passages])).Vh[:half]
    # Turned, so that no direction is much louder than others: the squares hold for small sums.
    turn = torch.linalg.qr(torch.randn(half, half, generator=generator)).Q.to(directions)
    directions = turn @ directions
    sizes = [(side @ directions.T).norm(dim=1).median().clamp(min=1e-6) for side in (queries, passages)]
    width = attention.self.all_head_size // 2
    value, dense = attention.self.value.weight, attention.output.dense.weight
    for side, size in enumerate(sizes):
        heads = torch.arange(half) + side * width
        value[heads[:, None], torch.tensor(free)] = directions
        places = torch.tensor(free[side * half : (side + 1) * half])
        dense[places, heads] += math.sqrt(half) / size


def _sum_of_products(layer: Any, place: int, free: list[int], half: int, generator: torch.Generator) -> None:
    """Four units a product; their sum goes to `place` of `[CLS]`."""
    into, out = layer.intermediate.dense.weight, layer.output.dense.weight
    of_query, of_passage = torch.tensor(free[:half]), torch.tensor(free[half : 2 * half])
    into[4 * half :] = _noise(into[4 * half :], UNUSED, generator)
    for number, (query, passage) in enumerate(((1, 1), (-1, -1), (1, -1), (-1, 1))):
        units = torch.arange(half) + number * half
        into[units, of_query] += INSIDE * query
        into[units, of_passage] += INSIDE * passage
        out[place, units] += PRODUCT * query * passage
