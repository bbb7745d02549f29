"""Which layers int8 costs the order: each in 8 bits alone, by how much it changes the logits."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.export.gate import Sample, score_sample
from crosstune.records import Run
from crosstune.serve import Reranker

QUERIES = 8
"""Of the sample, for each layer: a ranking of the layers needs fewer than the verdict."""
NAMED = 3
SCOPES = "pkg.torch.onnx.name_scopes"
LAYER = re.compile(r"\blayers?\.(\d+)\b")


@dataclass(frozen=True)
class Layer:
    """Half an encoder layer. `products`: names of its matrix products and of their outputs, since converters
    keep one or the other."""

    label: str
    products: frozenset[str]


@dataclass(frozen=True)
class Blame:
    """The layers, worst first, with the mean change of a logit that each causes alone."""

    layers: Sequence[Layer]
    changes: Mapping[str, float]

    def __str__(self) -> str:
        worst = [f"{layer.label} {self.changes[layer.label]:.2e}" for layer in self.layers[:NAMED]]
        return f"layers to blame, by the mean change of a logit in 8 bits alone: {', '.join(worst)}"


def layers_of(source: Path) -> list[Layer]:
    """Attention and feed-forward of each encoder layer of an ONNX graph that torch exported; empty where its
    nodes do not say where they come from."""
    import onnx

    found: dict[str, set[str]] = {}
    for node in onnx.load(source, load_external_data=False).graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
        match = LAYER.search(scopes)
        if node.op_type not in ("MatMul", "Gemm") or match is None:
            continue
        part = "attention" if "att" in scopes else "feed-forward"
        found.setdefault(f"layer {match[1]} {part}", set()).update((node.name, *node.output))
    return [Layer(label, frozenset(products)) for label, products in found.items()]


def blame(
    layers: Sequence[Layer], write_alone: Callable[[frozenset[str]], Reranker], exact: Run, sample: Sample
) -> Blame:
    """Scores a part of `sample` with each layer alone in 8 bits. `write_alone` makes the format with the
    products that it is given in fp32; `exact`: the logits of fp32."""
    few = Sample(
        sample.queries,
        sample.passages,
        {query_id: sample.candidates[query_id] for query_id in list(sample.candidates)[:QUERIES]},
    )
    every = frozenset().union(*(layer.products for layer in layers))
    changes = {}
    for layer in layers:
        run = score_sample(write_alone(every - layer.products), few)
        changes[layer.label] = statistics.fmean(
            abs(logit - exact[q][doc]) for q, scores in run.items() for doc, logit in scores.items()
        )
    return Blame(sorted(layers, key=lambda layer: -changes[layer.label]), changes)
