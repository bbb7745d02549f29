"""The encoder without padding: the logits and gradients of the padded one, for each family."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from crosstune.first_token import FAMILIES
from crosstune.train.attention import attention
from crosstune.train.packed import packed
from encoders import gradients, padded_batch, tiny_encoder


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
    model = tiny_encoder(family)
    model.set_attn_implementation(attention)
    batch, seen = padded_batch(lengths), _rows_seen(model)
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
    model, batch = tiny_encoder("bert").double(), padded_batch(lengths, seed)
    with torch.inference_mode():
        expected = model(**batch).logits
        with packed(model):
            torch.testing.assert_close(model(**batch).logits, expected, atol=1e-9, rtol=0)


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(2, 30), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_rows_are_rounded_up_with_padding_where_bf16_is_on(lengths: list[int], seed: int) -> None:
    model, batch = tiny_encoder("bert").double(), padded_batch(lengths, seed)
    seen = _rows_seen(model)
    with torch.inference_mode():
        expected = model(**batch).logits
        with torch.autocast("cpu", dtype=torch.bfloat16), packed(model):  # which leaves fp64 as it is
            torch.testing.assert_close(model(**batch).logits, expected, atol=1e-9, rtol=0)
    padded, rows = seen
    assert sum(lengths) <= rows <= min(padded, sum(lengths) * 17 / 16 + 1)
    assert rows == padded or len(f"{rows:b}".rstrip("0")) <= 5


def test_gradients_are_those_of_the_padded_encoder() -> None:
    model = tiny_encoder("bert").double().train()
    expected = gradients(model)
    assert max(float(g.abs().max()) for g in expected) > 1e-3
    for rounded in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=rounded), packed(model) as smaller:
            assert smaller
            torch.testing.assert_close(gradients(model), expected, atol=1e-10, rtol=1e-8)


def test_dropout_that_was_switched_off_is_off() -> None:
    model = tiny_encoder("bert", attention_probs_dropout_prob=0.1).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with packed(model) as smaller:
        assert smaller


def test_all_tokens_of_an_encoder_without_a_head() -> None:
    model = tiny_encoder("bert").base_model.double()
    batch = padded_batch()
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

    def of_inputs(way: Callable[..., torch.Tensor], dtype: torch.dtype) -> list[torch.Tensor]:
        leaves = [tensor.to(dtype).requires_grad_() for tensor in inputs]
        (way(*leaves, mask).double() * torch.arange(8)).sum().backward()
        return [leaf.grad.double() for leaf in leaves if leaf.grad is not None]

    exact = of_inputs(torch.nn.functional.scaled_dot_product_attention, torch.float64)
    theirs = of_inputs(torch.nn.functional.scaled_dot_product_attention, torch.bfloat16)
    ours = of_inputs(attention, torch.bfloat16)
    for right, other, mine in zip(exact, theirs, ours, strict=True):
        assert right.abs().max() > 1e-2
        assert (mine - right).norm() < 1.5 * (other - right).norm() < 0.05 * right.norm()


@pytest.mark.parametrize("change", [{"attention_probs_dropout_prob": 0.1}, {"is_decoder": True}])
def test_what_needs_the_layers_own_code_stays(change: dict[str, object]) -> None:
    with packed(tiny_encoder("bert", **change).train()) as smaller:
        assert not smaller


def test_other_families_stay_as_they_are() -> None:
    with packed(tiny_encoder("distilbert", dim=32, n_heads=4, n_layers=2, hidden_dim=64)) as smaller:
        assert not smaller
