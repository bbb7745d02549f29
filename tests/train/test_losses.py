"""Losses against values worked by hand, and against sentence-level rules that hold for any input."""

from __future__ import annotations

import math

import pytest
import torch

from crosstune.train.losses import LOSSES, kl_divergence


def test_lce_is_the_negative_log_softmax_of_the_positive() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    mask = torch.ones_like(labels, dtype=torch.bool)
    first = -math.log(math.e**2 / (math.e**2 + 1 + math.e))
    expected = (first + math.log(3)) / 2
    assert LOSSES["lce"](logits, labels, mask).item() == pytest.approx(expected, abs=1e-6)


def test_bce_is_the_mean_over_the_pairs() -> None:
    logits = torch.tensor([[1.0, -2.0]])
    labels = torch.tensor([[2.0, 0.0]])  # a grade above 0 counts as 1
    mask = torch.ones_like(labels, dtype=torch.bool)
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))) / 2
    assert LOSSES["bce"](logits, labels, mask).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_padding_of_short_groups_changes_nothing(name: str) -> None:
    logits = torch.tensor([[0.3, -1.2]])
    labels = torch.tensor([[1.0, 0.0]])
    padded = torch.tensor([[0.3, -1.2, 50.0]])
    mask = torch.tensor([[True, True, False]])
    short = LOSSES[name](logits, labels, torch.ones_like(labels, dtype=torch.bool))
    long = LOSSES[name](padded, torch.tensor([[1.0, 0.0, 0.0]]), mask)
    assert long.item() == pytest.approx(short.item(), abs=1e-7)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_order_of_the_negatives_does_not_matter(name: str) -> None:
    logits = torch.tensor([[0.3, -1.2, 2.0, 0.7]])
    labels = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    mask = torch.ones_like(labels, dtype=torch.bool)
    order = torch.tensor([3, 1, 0, 2])
    assert LOSSES[name](logits[:, order], labels[:, order], mask).item() == pytest.approx(
        LOSSES[name](logits, labels, mask).item(), abs=1e-6
    )


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_better_ranking_has_a_lower_loss(name: str) -> None:
    labels = torch.tensor([[1.0, 0.0, 0.0]])
    mask = torch.ones_like(labels, dtype=torch.bool)
    good = LOSSES[name](torch.tensor([[3.0, -1.0, -1.0]]), labels, mask)
    bad = LOSSES[name](torch.tensor([[-1.0, 3.0, -1.0]]), labels, mask)
    assert good < bad


def test_distillation_is_the_divergence_of_the_two_softmaxes_whatever_the_padding() -> None:
    logits, teacher = torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[0.5, 0.0, 9.0]])
    mask = torch.tensor([[True, True, False]])
    p, q = torch.softmax(teacher[0, :2], 0), torch.softmax(logits[0, :2], 0)
    by_hand = float((p * (p / q).log()).sum())
    assert float(kl_divergence(logits, teacher, mask)) == pytest.approx(by_hand, abs=1e-6)
    assert float(kl_divergence(teacher + 3, teacher, mask)) == pytest.approx(0, abs=1e-6)
