"""A cross-encoder that starts as the comparison of its base's vectors, where a fresh head ranks at random.

A base that was trained as a bi-encoder has good vectors of single texts and nothing that compares two of
them: read together the texts disturb each other's vectors, and a head on `[CLS]` must learn the comparison
from the labels. Here its weights are changed so that query and passage first do not see each other
(`segments`), and one more layer of the model's own kind sums the products of the two texts' mean states in
`[CLS]` (`layer`). What comes out is a plain BERT, of one layer more, that ranks as the vectors' cosine does
before it has seen a label; all of it is trained on, so that the texts learn to look at each other.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crosstune.records import Group

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from crosstune.serve.pairs import PairEncoder
    from crosstune.train.bi_encoder import BiEncoder

MEANS_A_DIMENSION = 2
"""Texts a dimension of the model, for the directions in which the vectors lie."""
SCALE_GROUPS = 64
LEAST_HEAD_WIDTH = 8


def can_compare(config: PretrainedConfig) -> bool:
    """Whether a base has the parts: BERT with two segments, absolute positions and room in its layers."""
    heads: Any = getattr(config, "num_attention_heads", 0)
    return bool(
        config.model_type == "bert"
        and config.type_vocab_size >= 2
        and config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", None) in (None, "absolute")
        and heads % 2 == 0
        and config.hidden_size // heads >= LEAST_HEAD_WIDTH
        and config.intermediate_size >= 2 * config.hidden_size
    )


def start_as_comparison(
    network: PreTrainedModel,
    vectors: BiEncoder,
    pairs: PairEncoder,
    groups: Sequence[Group],
    seed: int,
) -> None:
    """Turns `network`, a `BertForSequenceClassification` of one label that `can_compare`, into one that ranks
    as `vectors`, whose segments are kept apart, does, in place; `config.num_hidden_layers` grows by one.

    `groups`, with teacher scores, are a sample of what it will read. The logits are as sharp as these scores.
    """
    from crosstune.train.bi_encoder import QUERY_TOKENS
    from crosstune.train.comparison.layer import add_comparison

    if vectors.markers is None:
        raise ValueError("the segments of these vectors are not kept apart")
    rng = random.Random(seed)
    queries = list(dict.fromkeys(group.query for group in groups))
    passages = list(dict.fromkeys(doc for group in groups for doc in group.docs))
    most = MEANS_A_DIMENSION * network.config.hidden_size
    means = (
        vectors.means(vectors.ids(rng.sample(queries, min(len(queries), most)), QUERY_TOKENS)),
        vectors.means(vectors.ids(rng.sample(passages, min(len(passages), most))), passage=True),
    )
    network.base_model.load_state_dict(vectors.model.state_dict(), strict=False)
    add_comparison(network, vectors.markers, means, vectors.anchor(), seed)
    _sharpen(network, pairs, rng.sample(list(groups), min(len(groups), SCALE_GROUPS)))


def _sharpen(network: PreTrainedModel, pairs: PairEncoder, groups: Sequence[Group]) -> None:
    """Scales the head by the slope of the teacher's scores over the logits, within groups."""
    import torch

    from crosstune.train.scoring import score_pairs

    both = explained = 0.0
    for group in groups:
        logits = torch.tensor(score_pairs(network, pairs, [(group.query, doc) for doc in group.docs]))
        scores = torch.tensor([score or 0.0 for score in group.teacher_scores])
        both += float((logits - logits.mean()) @ (scores - scores.mean()))
        explained += float((logits - logits.mean()).square().sum())
    if both > 0:
        head: Any = network.classifier
        with torch.no_grad():
            head.weight.mul_(both / explained)
