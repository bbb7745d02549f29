"""What was not reranked, beneath what was, in a run whose scores are single precision."""

from __future__ import annotations

import numpy as np
import pytest

from crosstune.evaluate.measures import in_order
from crosstune.rerankers.rerank import with_rest


@pytest.mark.parametrize("lowest", [5.0, -3.5, 2e7, -2e7, 3e9, 1e30])
def test_the_rest_keeps_its_order_beneath_scores_of_any_size(lowest: float) -> None:
    candidates = {"q": {f"d{place}": 100.0 - place for place in range(40)}}
    run = with_rest(candidates, {"q": {"d3": 2 * abs(lowest), "d0": lowest}}, in_order)
    expected = ["d3", "d0", *(f"d{place}" for place in range(40) if place not in (0, 3))]
    assert in_order(run["q"]) == expected
    singles = np.array([run["q"][doc] for doc in expected], dtype=np.float32)
    assert (np.diff(singles) < 0).all()
