"""The law of a learning curve: found where it is there, never falling, and put into a sentence."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.curve.fit import (
    Forecast,
    LearningCurve,
    Point,
    advice,
    fit,
    forecast,
    power_law,
)
from crosstune.curve.page import render_curve

COUNTS = [50, 125, 250, 500]
SHARES = [0.1, 0.25, 0.5, 1.0]


def _values(means: list[float], queries: int, spread: float) -> list[dict[str, float]]:
    """Per-query values of these means: a query is as easy or hard in every training."""
    rng = random.Random(3)
    offsets = [rng.uniform(-spread, spread) for _ in range(queries)]
    middle = sum(offsets) / queries
    return [{f"q{n}": mean + offset - middle for n, offset in enumerate(offsets)} for mean in means]


@pytest.mark.parametrize(("c", "a", "b"), [(0.8, 0.1, 0.5), (0.6, 0.05, 1.0)])
def test_a_power_law_is_found_and_followed(c: float, a: float, b: float) -> None:
    means = [c - a * share**-b for share in SHARES]
    law, spans, (twice, four) = forecast(_values(means, 100, 0.2), COUNTS, 1.0, 13)
    assert law == pytest.approx([c, a, b], rel=1e-2)
    assert (twice.queries, four.queries) == (1000, 2000)
    assert twice.ndcg == pytest.approx(c - a * 2**-b, abs=1e-3)
    assert four.gain == pytest.approx(a - a * 4**-b, abs=1e-3)
    for mean, (low, high) in zip(means, spans, strict=True):
        assert low < mean < high
    assert twice.gain_low <= twice.gain <= twice.gain_high


@pytest.mark.slow
def test_fewer_dev_queries_say_less() -> None:
    rng = random.Random(5)

    def table(queries: int) -> list[dict[str, float]]:
        means = (0.5, 0.55, 0.58, 0.6)
        return [{f"q{n}": min(1, max(0, rng.gauss(m, 0.3))) for n in range(queries)} for m in means]

    widths = []
    for queries in (20, 300):
        twice = forecast(table(queries), COUNTS, 1.0, 13)[2][0]
        widths.append(twice.gain_high - twice.gain_low)
    assert widths[0] > widths[1]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0.1, 1))
def test_a_law_never_falls_and_never_leaves_the_ceiling(means: list[float], ceiling: float) -> None:
    law = fit(SHARES, np.minimum(means, ceiling), ceiling)
    if law is not None:
        ahead = power_law(np.array([0.1, 0.5, 1.0, 2.0, 4.0, 100.0]), *law)
        assert (np.diff(ahead) >= -1e-9).all()
        assert ahead[-1] <= ceiling + 1e-6


def _twice(low: float, high: float) -> Forecast:
    return Forecast(1000, 0.7, 0.65, 0.75, (low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("low", "high", "begins"),
    [
        (0.012, 0.04, "labelling more is worth it: 500 more"),
        (0.0, 0.004, "labelling more is hardly worth it"),
        (0.002, 0.03, "dev cannot tell whether labelling more is worth it"),
    ],
)
def test_the_sentence(low: float, high: float, begins: str) -> None:
    sentence = advice(_twice(low, high), 500, 0)
    assert sentence.startswith(begins)
    assert f"[{low:+.3f}, {high:+.3f}]" in sentence
    assert "not even used yet" not in sentence
    assert "70 labelled queries are not even used yet" in advice(_twice(low, high), 500, 70)


def test_the_page_needs_no_network() -> None:
    points = [Point(share, n, n, 0.5, 0.4, 0.6) for share, n in zip(SHARES, COUNTS, strict=True)]
    reference = {"first_stage": 0.4, "base": None, "ceiling": 0.9}
    law = {"c": 0.6, "a": 0.1, "b": 0.5}
    sentence = advice(_twice(0, 0.03), 500, 0)
    curve = LearningCurve(1, "nDCG@10", 80, points, law, [_twice(0, 0.03)], reference, 0, sentence)
    page = render_curve(curve)
    assert "Dev cannot tell whether" in page and "<svg" in page and "<script" not in page
    assert "first stage 0.400, ceiling 0.900" in page
