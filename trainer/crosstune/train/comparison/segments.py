"""Query and passage of one input that do not see each other, by weights alone.

Three dimensions of the model that matter least are freed: one is set for tokens of the query, one for tokens
of the passage, and one stays empty, so that differences to it are free of the layer norms' shifts. They come
from the segment's embedding, nothing else writes to them, and in each attention head two spare dimensions of
the queries and keys subtract a constant where a token of one segment looks at one of the other. `[CLS]` is
an anchor that attention rests on: all see it, and it sees none but itself, or it would hand on the one text
to the other. The layer norms wear a mark of its own away, so it is told by a linear probe of its state. Why
not masks: every server would have to know of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from crosstune.train.comparison.activations import Activations, LayerActivations

APART = 5.0
"""What is subtracted from an attention score across the segments: little enough to be unlearned."""
FIRST = 3.0
"""How many times as much where `[CLS]` looks at a text."""
RIDGE = 1e-3


@dataclass(frozen=True)
class Markers:
    """The dimensions of the states that are set for the query's tokens, for the passage's, and never."""

    query: int
    passage: int
    empty: int

    @property
    def all(self) -> list[int]:
        return [self.query, self.passage, self.empty]


@torch.no_grad()
def keep_segments_apart(bert: PreTrainedModel, seen: Activations) -> Markers:
    """Changes the weights of a `BertModel`, in place. `seen`: of the same weights, on single texts."""
    parts: Any = bert
    layers = parts.encoder.layer
    markers = Markers(*_least_used(layers, seen))
    for layer, there in zip(layers, seen.layers, strict=True):
        _free_head_dimensions(layer.attention.self, there)
        for linear, states in _readers(layer, there):
            linear.bias += linear.weight[:, markers.all] @ states[:, markers.all].mean(0)
            linear.weight[:, markers.all] = 0
        _separate(layer.attention.self, markers, _probe(there.attention_input, seen.first, markers))
        for part, before in (
            (layer.attention.output, there.first_norm_input),
            (layer.output, there.second_norm_input),
        ):
            part.dense.weight[markers.all] = 0
            part.dense.bias[markers.all] = 0
            _hand_through(part.LayerNorm, markers, float(before.std(1).median()))
    _mark(parts.embeddings, markers, float(seen.embedded.std(1).median()))
    hold_marks(bert, markers)
    return markers


def hold_marks(bert: PreTrainedModel, markers: Markers) -> None:
    """Keeps training from what makes and hands on the marks: an optimiser's steps are of one size for all
    weights, and some of them would drown the marks in what is written beside them."""
    parts: Any = bert
    embeddings = parts.embeddings
    for table in (
        *(embeddings.word_embeddings, embeddings.position_embeddings, embeddings.token_type_embeddings),
        embeddings.LayerNorm,
    ):
        _hold(table, markers)
    for layer in parts.encoder.layer:
        for part in (layer.attention.output, layer.output):
            _hold(part.dense, markers)
            _hold(part.LayerNorm, markers)


def _hold(module: Any, markers: Markers) -> None:
    """No gradient for the markers' dimensions: the rows of a linear map, of the last matrix of an adapter
    beside it, or of a norm, the columns of a table."""

    def without(gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        if gradient.is_sparse:
            gradient._values()[:, markers.all] = 0
        elif isinstance(module, torch.nn.Embedding):
            gradient[:, markers.all] = 0
        else:
            gradient[markers.all] = 0
        return gradient

    for name, parameter in module.named_parameters():
        if parameter.requires_grad and "lora_A" not in name:
            parameter.register_hook(without)


def _readers(layer: Any, there: LayerActivations) -> Iterator[tuple[Any, Tensor]]:
    """The linear maps that read the states, each with the states that it reads."""
    own = layer.attention.self
    for linear in (own.query, own.key, own.value):
        yield linear, there.attention_input
    yield layer.intermediate.dense, there.feed_forward_input


def _least_used(layers: Any, seen: Activations) -> list[int]:
    """The dimensions that add least to the variance of what the layers compute, every map alike."""
    use = torch.zeros_like(seen.embedded[0])
    for layer, there in zip(layers, seen.layers, strict=True):
        for linear, states in _readers(layer, there):
            share = states.var(0) * linear.weight.square().sum(0)
            use += share / share.sum()
    least: list[int] = use.argsort()[:3].tolist()
    return least


def _free_head_dimensions(own: Any, there: LayerActivations) -> None:
    """Each head's queries and keys in a basis that leaves their products as they are and puts the two
    directions that matter least last (balanced truncation, Moore 1981), which are then emptied."""
    width = own.attention_head_size
    for head in range(own.num_attention_heads):
        rows = slice(head * width, (head + 1) * width)
        queries, keys = there.queries[:, rows].double(), there.keys[:, rows].double()
        of_queries = _root(queries.T @ queries / len(queries))
        of_keys = _root(torch.cov(keys.T))  # what all keys share moves no attention
        left, sizes, right = torch.linalg.svd(of_queries.T @ of_keys)
        even = sizes.rsqrt()[:, None]
        for linear, basis in (
            (own.query, even * (right @ of_keys.T)),
            (own.key, even * (left.T @ of_queries.T)),
        ):
            linear.weight[rows] = (basis @ linear.weight[rows].double()).float()
            linear.bias[rows] = (basis @ linear.bias[rows].double()).float()
            linear.weight[rows][-2:] = 0
            linear.bias[rows][-2:] = 0


def _root(second_moment: Tensor) -> Tensor:
    """Its Cholesky factor; a trifle on the diagonal keeps an empty direction from stopping it."""
    trifle = 1e-6 * second_moment.diagonal().mean() + 1e-12
    even: Tensor = trifle * torch.eye(len(second_moment)).to(second_moment)
    root: Tensor = torch.linalg.cholesky(second_moment + even)
    return root


def _probe(states: Tensor, first: Tensor, markers: Markers) -> tuple[Tensor, Tensor]:
    """Weight `[hidden]` and bias of a ridge regression that says 1 for `[CLS]` and 0 for other tokens, both
    counting the same, without the markers' dimensions."""
    rows = torch.cat([states, torch.ones_like(states[:, :1])], dim=1).double()
    rows[:, markers.all] = 0
    share = first.double().mean()
    counts = torch.where(first, 0.5 / share, 0.5 / (1 - share))[:, None] / len(first)
    normal = rows.T @ (rows * counts)
    normal += RIDGE * normal.diagonal().mean() * torch.eye(len(normal)).to(normal)
    found = torch.linalg.solve(normal, rows.T @ (first[:, None].double() * counts))[:, 0].float()
    return found[:-1], found[-1]


def _separate(own: Any, markers: Markers, probe: tuple[Tensor, Tensor]) -> None:
    """The freed dimensions: query's tokens and `[CLS]` against passage's keys, passage's tokens and `[CLS]`
    against query's."""
    width = own.attention_head_size
    size = math.sqrt(APART * math.sqrt(width))
    for head in range(own.num_attention_heads):
        end = (head + 1) * width
        for row, looking, seen in (
            (end - 2, markers.query, markers.passage),
            (end - 1, markers.passage, markers.query),
        ):
            own.query.weight[row] = FIRST * size * probe[0]
            own.query.bias[row] = FIRST * size * probe[1]
            own.query.weight[row, looking], own.query.weight[row, markers.empty] = size, -size
            own.key.weight[row, seen], own.key.weight[row, markers.empty] = -size, size


def _hand_through(norm: Any, markers: Markers, size: float) -> None:
    """A mark of 1 comes out as about 1; `size`: what the norm divides a typical token by."""
    norm.weight[markers.all] = size
    norm.bias[markers.all] = 0


def _mark(embeddings: Any, markers: Markers, size: float) -> None:
    embeddings.word_embeddings.weight[:, markers.all] = 0
    embeddings.position_embeddings.weight[:, markers.all] = 0
    segments = embeddings.token_type_embeddings.weight
    segments[1] = segments[0]
    segments[:2, markers.all] = 0
    segments[0, markers.query] = segments[1, markers.passage] = size
    embeddings.position_embeddings.weight[0, markers.query] = -size  # [CLS] stands there and has no mark
    _hand_through(embeddings.LayerNorm, markers, 1.0)
