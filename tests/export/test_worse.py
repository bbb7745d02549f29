"""What may be exported, by nDCG@10 on dev."""

from __future__ import annotations

import pytest

from crosstune.errors import CheckFailed
from crosstune.export import refuse_worse

DEV = {"first_stage": 0.5, "base": 0.7, "fused": None}


def test_a_smaller_model_may_cost_what_was_allowed_and_no_more() -> None:
    refuse_worse({**DEV, "tuned": 0.69}, 40, most_loss=0.02)
    with pytest.raises(CheckFailed, match=r"the base before training on dev .* export\.most_loss is 0\.02\)"):
        refuse_worse({**DEV, "tuned": 0.67}, 40, most_loss=0.02)
    with pytest.raises(CheckFailed, match=r"0\.6900 against 0\.7000 over 40 queries\)"):
        refuse_worse({**DEV, "tuned": 0.69}, 40)


def test_what_is_allowed_is_not_allowed_below_the_first_stage() -> None:
    with pytest.raises(CheckFailed, match="the first stage on dev"):
        refuse_worse({**DEV, "first_stage": 0.69, "tuned": 0.69}, 40, most_loss=0.02)
