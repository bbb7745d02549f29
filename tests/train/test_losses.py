"""Losses against values worked by hand, against plain loops, and against rules that hold for any list."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crosstune.train import TrainSettings
from crosstune.train.loss_kinds import KINDS, OPTIONS, LossName
from crosstune.train.losses import LOSSES, Lists, chosen_loss
from loss_cases import REFERENCES, Ranked, lists

NAMES = sorted(LOSSES)
ONE = Ranked([1.0, -2.0], [1, 0], [2.0, 0.5])


def _value(name: str, *batch: Ranked) -> float:
    return LOSSES[name](lists(batch)).item()  # type: ignore[index]


@st.composite
def ranked(draw: st.DrawFn, least: int = 1) -> Ranked:
    """A list of grades from -1 to 3; a quarter of all numbers, so that ties occur and are exact."""
    count = draw(st.integers(least, 7))
    quarters = st.integers(-24, 24).map(lambda n: n / 4)
    many = st.lists(quarters, min_size=count, max_size=count)
    grades = st.lists(st.integers(-1, 3), min_size=count, max_size=count)
    return Ranked(draw(many), draw(grades), draw(many))


BATCHES = st.lists(ranked(), min_size=1, max_size=4)


def test_every_name_of_the_settings_has_a_loss_and_what_it_learns_from() -> None:
    assert set(get_args(LossName)) == set(LOSSES) == set(KINDS) == set(REFERENCES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bce", (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))) / 2),
        ("mse", (0 + 4) / 2),
        ("margin", 0),  # 1 - (1 + 2) is below 0
        ("ranknet", math.log(1 + math.exp(-3))),
        # The ranks are 1 and 2, their distance 1; the ideal DCG is 1.
        ("lambda", 11 * (1 - 1 / math.log2(3)) * math.log2(1 + math.exp(-3))),
        ("lce", math.log(1 + math.exp(-3))),
        ("listnet", math.log(1 + math.exp(-3)) + 3 / (1 + math.e)),
        ("listmle", math.log(1 + math.exp(-3))),
        ("plistmle", math.log(1 + math.exp(-3))),
        ("approx_ndcg", 1 - 1 / math.log2(2 + 1 / (1 + math.exp(3)))),
        ("margin_mse", (3 - 1.5) ** 2),
        ("kl", sum(p * math.log(p / q) for p, q in zip(
            [1 / (1 + math.exp(-1.5)), 1 / (1 + math.exp(1.5))],
            [1 / (1 + math.exp(-3)), 1 / (1 + math.exp(3))], strict=True))),
        ("teacher_mse", (1 + 6.25) / 2),
        ("teacher_ranknet", math.log(1 + math.exp(-3))),
    ],
)  # fmt: skip
def test_two_documents_by_hand(name: str, expected: float) -> None:
    assert _value(name, ONE) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(batch=BATCHES)
def test_any_step_equals_plain_loops(name: str, batch: list[Ranked]) -> None:
    """Ties, grades below 0, lists without a positive, with equal grades and with one document among them."""
    assert _value(name, *batch) == pytest.approx(REFERENCES[name](batch), abs=1e-9)


def _moved(batch: list[Ranked], row: int, place: int, by: float) -> list[Ranked]:
    z = list(batch[row].z)
    z[place] += by
    return [one._replace(z=z) if number == row else one for number, one in enumerate(batch)]


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_slope_of_plain_loops(name: str) -> None:
    batch = [
        Ranked([0.3, -1.1, 2.05, 0.7], [2, 0, 1, 0], [1.0, -1.0, 0.5, 0.25]),
        Ranked([1.31, 0.2], [0, 1], [0.5, 1.5]),
    ]
    given_lists = lists(batch, requires_grad=True)
    LOSSES[name](given_lists).backward()  # type: ignore[index]
    gradient = given_lists.logits.grad
    assert gradient is not None
    for row, one in enumerate(batch):
        for place in range(len(one.z)):
            ahead, behind = (REFERENCES[name](_moved(batch, row, place, by)) for by in (1e-6, -1e-6))
            assert gradient[row, place].item() == pytest.approx((ahead - behind) / 2e-6, abs=1e-6)
    assert gradient[1, 2:].tolist() == [0, 0]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(one=ranked(), other=ranked(), data=st.data())
def test_the_order_of_a_list_changes_nothing(
    name: str, one: Ranked, other: Ranked, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(one.z))))
    turned = Ranked(*([column[i] for i in order] for column in one))
    assert _value(name, turned, other) == pytest.approx(_value(name, one, other), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(batch=BATCHES, junk=st.sampled_from([0.0, 50.0, -3e4]))
def test_padding_changes_neither_value_nor_gradient(name: str, batch: list[Ranked], junk: float) -> None:
    short, long = lists(batch, requires_grad=True), lists(batch)
    grown = [torch.nn.functional.pad(t, (0, 3), value=junk) for t in (long.logits, long.labels)]
    grown[0].requires_grad_()
    teacher = torch.nn.functional.pad(long.teacher, (0, 3), value=float("nan"))
    padded = Lists(grown[0], grown[1], teacher, torch.nn.functional.pad(long.mask, (0, 3)))
    values = [LOSSES[name](one) for one in (short, padded)]  # type: ignore[index]
    assert values[1].item() == pytest.approx(values[0].item(), abs=1e-9)
    for value in values:
        value.backward()
    before, after = short.logits.grad, padded.logits.grad
    assert before is not None
    assert after is not None
    assert torch.allclose(after[:, : before.shape[1]], before, atol=1e-9)
    assert not after[~padded.mask].any()


@pytest.mark.parametrize("name", [name for name in NAMES if KINDS[name].needs != "a document"])
@settings(max_examples=20, deadline=None)
@given(batch=st.lists(ranked(), min_size=4, max_size=4))
def test_the_parts_of_a_step_add_up(name: str, batch: list[Ranked]) -> None:
    """With lists of unequal length and some that teach nothing: accumulation cannot change the gradient."""
    parts = (_value(name, *batch[:2]) + _value(name, *batch[2:])) / 2
    assert _value(name, *batch) == pytest.approx(parts, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@settings(max_examples=25, deadline=None)
@given(batch=BATCHES, scale=st.sampled_from([1e4, 65504 / 6]))
def test_extreme_logits_in_half_precision_stay_finite(
    name: str, dtype: torch.dtype, batch: list[Ranked], scale: float
) -> None:
    """Up to the largest number of fp16; the gradient is taken in fp32, in which the loop has the logits."""
    large = lists([one._replace(z=[z * scale for z in one.z]) for one in batch], dtype)
    assert torch.isfinite(large.logits[large.mask]).all()
    logits = large.logits.detach().requires_grad_()
    loss = LOSSES[name](Lists(logits, large.labels, large.teacher, large.mask))  # type: ignore[index]
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", [name for name in NAMES if KINDS[name].needs != "a document"])
def test_a_step_without_anything_to_learn_is_0_with_a_gradient_of_0(name: str) -> None:
    empty = {
        "two documents": Ranked([0.7], [1], [2.0]),
        "a relevant document": Ranked([0.7, 0.1], [0, 0], [2.0, 1.0]),
        "two grades": Ranked([0.7, 0.1], [1, 1], [2.0, 1.0]),
        "two gains": Ranked([0.7, 0.1], [0, -1], [2.0, 1.0]),
        "two scores": Ranked([0.7, 0.1], [1, 0], [2.0, 2.0]),
    }[KINDS[name].needs]  # type: ignore[index]
    step = lists([empty, empty], requires_grad=True)
    loss = LOSSES[name](step)  # type: ignore[index]
    loss.backward()
    assert loss.item() == 0
    assert step.logits.grad is not None
    assert not step.logits.grad.any()


@pytest.mark.parametrize("name", NAMES)
def test_a_better_ranking_has_a_lower_loss(name: str) -> None:
    grades, teacher = [2, 0, 1], [3.0, -1.0, 1.0]
    good, bad = (_value(name, Ranked(z, grades, teacher)) for z in ([3.0, -1.0, 1.0], [-1.0, 3.0, 1.0]))
    assert good < bad


@pytest.mark.parametrize("name", [name for name in NAMES if KINDS[name].learns_from == "grades"])
def test_grades_are_told_apart(name: str) -> None:
    """Which of two relevant documents stands higher matters to every loss that says it takes grades."""
    z, t = [1.0, 2.0, 0.0], [0.0] * 3
    assert _value(name, Ranked(z, [2, 1, 0], t)) > _value(name, Ranked(z, [1, 2, 0], t))


@pytest.mark.parametrize("name", ["lambda", "approx_ndcg"])
def test_a_grade_of_hundreds_does_not_overflow(name: str) -> None:
    step = lists([Ranked([0.1, 0.9, 0.4], [900, 3, 0], [0.0] * 3)], torch.float32)
    assert math.isfinite(LOSSES[name](step).item())  # type: ignore[index]


def test_a_list_of_a_thousand_keeps_its_weights() -> None:
    many = Ranked([i % 7 - 3.0 for i in range(1000)], [3, 2, 1, *[0] * 997], [0.0] * 1000)
    step = lists([many], torch.float32)
    assert LOSSES["plistmle"](step).item() == pytest.approx(REFERENCES["plistmle"]([many]), rel=1e-4)


@pytest.mark.parametrize(
    ("option", "value", "batch", "expected"),
    [
        ("pos_weight", 3.0, ONE, (3 * math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))) / 2),
        ("margin", 5.0, ONE, 2.0),
        ("ndcg_depth", 1, Ranked([3.0, 2.0, 1.0], [0, 1, 0], [0.0] * 3), None),
        ("temperature", 0.5, ONE, 1 - 1 / math.log2(2 + 1 / (1 + math.exp(6)))),
    ],
)
def test_an_option_reaches_its_loss(option: str, value: float, batch: Ranked, expected: float | None) -> None:
    chosen = TrainSettings.model_validate({"loss": OPTIONS[option], option: value})
    loss = chosen_loss(chosen)(lists([batch])).item()
    if expected is None:  # nDCG@1: of the two pairs only that with the document at rank 1 counts
        swap = 1 - 1 / math.log2(3)
        expected = (10 * swap + swap) * math.log2(1 + math.e)
    assert loss == pytest.approx(expected, abs=1e-9)
    assert loss != pytest.approx(_value(OPTIONS[option], batch))


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_an_option_of_another_loss_is_refused(option: str) -> None:
    with pytest.raises(
        ValidationError, match=f"{option} belongs to loss = {OPTIONS[option]}, and loss is mse"
    ):
        TrainSettings.model_validate({"loss": "mse", option: 1})
