"""Significance against enumeration by hand; leakage by id."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.evaluate import compare, find_leaks, holm
from crosstune.evaluate.significance import verdict
from crosstune.records import Collection, Group


def _values(numbers: list[float]) -> dict[str, float]:
    return {f"q{i}": number for i, number in enumerate(numbers)}


def test_a_small_sample_is_tested_exactly() -> None:
    differences = [0.3, 0.1, 0.4, -0.2, 0.25, 0.05]
    found = compare(_values([0.0] * 6), _values(differences), seed=1, resamples=10_000)
    observed = abs(statistics.mean(differences))
    flips = [
        abs(statistics.mean(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=6)
    ]
    assert found.p == pytest.approx(sum(f >= observed - 1e-12 for f in flips) / len(flips))
    assert found.difference == pytest.approx(statistics.mean(differences))
    assert (found.wins, found.ties, found.losses) == (5, 0, 1)
    assert found.low < found.difference < found.high


def test_a_large_sample_has_the_plus_one_p_value() -> None:
    rng = random.Random(1)
    found = compare(
        _values([0.0] * 200), _values([rng.gauss(0.5, 0.1) for _ in range(200)]), seed=1, resamples=999
    )
    # No flip of 200 clear wins reaches the observed mean: two-sided (0 + 1) / (999 + 1) a side.
    assert found.p == pytest.approx(2 / 1000)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([-1.0, -0.5, -0.25, 0.1, 0.25, 0.5, 1.0]), min_size=1, max_size=8),
    st.integers(0, 300),
)
def test_queries_that_did_not_change_leave_the_test_exact(changed: list[float], equal: int) -> None:
    differences = changed + [0.0] * equal
    found = compare(_values([0.0] * len(differences)), _values(differences), seed=1, resamples=256)
    flips = [sum(s * d for s, d in zip(signs, changed, strict=True))
             for signs in itertools.product((1, -1), repeat=len(changed))]  # fmt: skip
    observed = sum(changed)
    one_sided = min(sum(f >= observed - 1e-9 for f in flips), sum(f <= observed + 1e-9 for f in flips))
    assert found.exact
    assert found.p == pytest.approx(min(1.0, 2 * one_sided / len(flips)))
    assert found.ties == equal


def test_tests_that_share_the_error_find_larger_differences_only() -> None:
    systems = _values([0.0] * 8), _values([0.3, -0.1, 0.2, 0.25, 0.1, -0.2, 0.15, 0.3])
    deviation = statistics.stdev(systems[1].values())
    # 5 % two-sided and 80 % power: 1.959964 + 0.841621 standard errors; 1 %: 2.575829 + 0.841621.
    for tests, errors in ((1, 2.801585), (5, 3.417450)):
        found = compare(*systems, seed=1, resamples=1000, tests=tests)
        assert found.detectable == pytest.approx(errors * deviation / 8**0.5, rel=1e-5)


def test_what_is_said_of_equal_systems_and_of_few_changes() -> None:
    equal = compare(_values([0.5] * 50), _values([0.5] * 50), seed=1, resamples=1000)
    assert verdict(equal, equal.p) == "equal for every query"
    few = compare(_values([0.0] * 50), _values([1.0] * 5 + [0.0] * 45), seed=1, resamples=1000)
    assert few.p == pytest.approx(2 / 2**5)
    assert verdict(few, few.p) == (
        "too few queries changed to tell (5): even all in one direction would have p = 0.062"
    )
    assert "too small" not in verdict(few, 1.0, tests=3)


def test_equal_systems_have_no_difference() -> None:
    found = compare(_values([0.5] * 5), _values([0.5] * 5), seed=1, resamples=100)
    assert (found.difference, found.p, found.ties) == (0.0, 1.0, 5)


def test_noise_is_said_to_be_too_small_to_tell() -> None:
    found = compare(_values([0.0] * 6), _values([0.3, -0.3, 0.2, -0.2, 0.1, 0.05]), seed=1, resamples=1000)
    assert "too small to tell" in verdict(found, found.p)


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


def test_leaks_are_found_by_id(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = {
        "t1": "How to open a file?",
        "t2": "sorting a list of numbers quickly in place",
        "e1": "how to OPEN a file",
        "e2": "sorting a list of numbers quickly, in-place!",
        "e3": "sorting a list of number quickly in place",
        "e4": "nothing alike",
    }
    passages = {"p": "Some passage", "n": "some  passage!", "o": "other"}
    collection = Collection("c", passages, queries, {"train": {"t1": {"p": 1}, "t2": {"p": 1}}, "test": {}})
    test = {"e1": {"o": 1}, "e2": {"o": 1}, "e3": {"o": 1}, "e4": {"p": 1}}
    group = Group("t1", queries["t1"], ["o", "n"], ["other", passages["n"]], [1, 0], [], [])
    shown: list[tuple[str, int]] = []

    @contextmanager
    def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda count: shown.append((label, count))

    monkeypatch.setattr("crosstune.evaluate.leakage.progress", progress)
    leaks = find_leaks(collection, [group], test)
    assert shown == [("leakage, test queries", 1)] * len(test)
    assert leaks.equal_queries == {"e1": "t1", "e2": "t2"}
    assert leaks.near_queries == {"e3": "t2"}
    assert leaks.negatives == {"e4": "n"}
    assert leaks.query_ids == {"e1", "e2", "e3"}
