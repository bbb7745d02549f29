"""The encoder without padding: the logits and gradients of the padded one, for each family."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from crosstune.first_token import FAMILIES
from crosstune.train.attention import attention
from crosstune.train.packed import packed

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


def _model(family: str, layers: int = 3, **sizes: object) -> PreTrainedModel:
    torch.manual_seed(3)
    config = AutoConfig.for_model(family, num_hidden_layers=layers, **{**SIZES, **sizes})
    return AutoModelForSequenceClassification.from_config(config).eval()


def _batch(lengths: list[int], seed: int = 5) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    mask = (torch.arange(shape[1]) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(4, 50, shape, generator=rng)
    types = torch.randint(0, 2, shape, generator=rng)
    return {"input_ids": torch.where(mask == 1, ids, 1), "attention_mask": mask, "token_type_ids": types}


def _rows_seen(model: PreTrainedModel) -> list[int]:
    """How many rows the first layer's feed-forward was given, call by call."""
    seen: list[int] = []
    dense = model.base_model.encoder.layer[0].intermediate.dense
    dense.register_forward_hook(
        lambda _module, inputs, _output: seen.append(inputs[0].flatten(0, -2).shape[0])
    )
    return seen


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("lengths", [[12, 9, 5, 2, 11], [7, 7], [3]])
def test_logits_are_those_of_the_padded_encoder(family: str, attention: str, lengths: list[int]) -> None:
    model = _model(family)
    model.set_attn_implementation(attention)
    batch, seen = _batch(lengths), _rows_seen(model)
    with torch.inference_mode():
        expected = model(**batch).logits
        with packed(model) as smaller:
            assert smaller
            found = model(**batch).logits
        again = model(**batch).logits
    padded = len(lengths) * max(lengths)
    assert seen == [padded, sum(lengths), padded], "a row a real token"
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert torch.equal(again, expected), "the block leaves the model as it was"


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(2, 30), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_any_lengths(lengths: list[int], seed: int) -> None:
    model, batch = _model("bert").double(), _batch(lengths, seed)
    with torch.inference_mode():
        expected = model(**batch).logits
        with packed(model):
            torch.testing.assert_close(model(**batch).logits, expected, atol=1e-9, rtol=0)


def _gradients(
    model: PreTrainedModel, block: Callable[[PreTrainedModel], AbstractContextManager[bool]]
) -> list[torch.Tensor]:
    model.zero_grad()
    with block(model):
        model(**_batch([12, 9, 5, 2, 11])).logits.square().sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_gradients_are_those_of_the_padded_encoder() -> None:
    from contextlib import nullcontext

    model = _model("bert").double().train()
    expected = _gradients(model, lambda _: nullcontext(False))
    found = _gradients(model, packed)
    assert max(float(g.abs().max()) for g in expected) > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-8)


def test_dropout_that_was_switched_off_is_off() -> None:
    model = _model("bert", attention_probs_dropout_prob=0.1).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with packed(model) as smaller:
        assert smaller


def test_all_tokens_of_an_encoder_without_a_head() -> None:
    model = _model("bert").base_model.double()
    batch = _batch([12, 9, 5, 2, 11])
    with torch.inference_mode():
        expected = model(**batch).last_hidden_state
        with packed(model, all_tokens=True):
            found = model(**batch).last_hidden_state
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(found[real], expected[real], atol=1e-9, rtol=0)


@pytest.mark.parametrize("lengths", [[12, 9, 5, 2, 11], [7, 7]])
def test_the_gradient_of_attention_in_bf16_is_that_of_torch(lengths: list[int]) -> None:
    """Both are off by bf16's rounding: ours by no more than torch's own."""
    torch.manual_seed(1)
    longest = max(lengths)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None])[:, None, None]
    inputs = [torch.randn(len(lengths), 4, longest, 8) for _ in range(3)]

    def gradients(way: Callable[..., torch.Tensor], dtype: torch.dtype) -> list[torch.Tensor]:
        leaves = [tensor.to(dtype).requires_grad_() for tensor in inputs]
        (way(*leaves, mask).double() * torch.arange(8)).sum().backward()
        return [leaf.grad.double() for leaf in leaves if leaf.grad is not None]

    exact = gradients(torch.nn.functional.scaled_dot_product_attention, torch.float64)
    theirs = gradients(torch.nn.functional.scaled_dot_product_attention, torch.bfloat16)
    ours = gradients(attention, torch.bfloat16)
    for right, other, mine in zip(exact, theirs, ours, strict=True):
        assert right.abs().max() > 1e-2
        assert (mine - right).norm() < 1.5 * (other - right).norm() < 0.05 * right.norm()


@pytest.mark.parametrize("change", [{"attention_probs_dropout_prob": 0.1}, {"is_decoder": True}])
def test_what_needs_the_layers_own_code_stays(change: dict[str, object]) -> None:
    with packed(_model("bert", **change).train()) as smaller:
        assert not smaller


def test_other_families_stay_as_they_are() -> None:
    with packed(_model("distilbert", dim=32, n_heads=4, n_layers=2, hidden_dim=64)) as smaller:
        assert not smaller
