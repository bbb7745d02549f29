"""Weights between the start and what training found: the best share by dev is what remains."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from crosstune.train.blend import SHARES, take_best_blend
from encoders import padded_batch, tiny_encoder


def _near(wanted: float) -> Callable[[float], float]:
    return lambda share: 1 - abs(share - wanted)


@pytest.mark.parametrize("wanted", [*SHARES, 1.0])
def test_the_model_is_left_at_the_best_share(wanted: float) -> None:
    start, model = tiny_encoder("bert"), tiny_encoder("bert")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    end = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    seen = {}

    def judged(share: float) -> float:
        seen[share] = model(**padded_batch()).logits.detach().clone()
        return _near(wanted)(share)

    share, value = take_best_blend(model, start.state_dict(), _near(wanted)(1.0), judged)
    assert (share, value) == (wanted, 1.0)
    assert list(seen) == list(SHARES)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            between = start.state_dict()[name] + wanted * (end[name] - start.state_dict()[name])
            torch.testing.assert_close(tensor, between, atol=1e-6, rtol=1e-5)
    if wanted in seen:
        torch.testing.assert_close(model(**padded_batch()).logits, seen[wanted])


def test_at_a_tie_the_one_nearest_to_the_start_remains() -> None:
    model = tiny_encoder("bert")
    share, _ = take_best_blend(model, model.state_dict(), 0.5, lambda _: 0.5)
    assert share == SHARES[0]
