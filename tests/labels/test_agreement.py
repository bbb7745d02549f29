"""Cohen's kappa against tables from the literature and by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from crosstune.labels.agreement import agreement, kappas, lines


def pairs_of(table: list[list[int]]) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int | None]]:
    """Pairs whose grades make up the table, people's by row; each of a query of its own."""
    people: dict[tuple[str, str], int] = {}
    found: dict[tuple[str, str], int | None] = {}
    for row, column in product(range(len(table)), repeat=2):
        for _ in range(table[row][column]):
            pair = (f"q{len(people)}", "d")
            people[pair], found[pair] = row, column
    return people, found


def test_kappa_by_hand() -> None:
    """Agreement .7; by chance .5 * .6 + .5 * .4 = .5; (.7 - .5) / .5 = .4."""
    measured = agreement(*pairs_of([[20, 5], [10, 15]]), seed=1, highest=3)
    assert measured.kappa == pytest.approx(0.4)
    assert measured.equal == pytest.approx(0.7)
    assert measured.counts == {"0/0": 20, "0/1": 5, "1/0": 10, "1/1": 15}
    assert measured.weighted_kappa is None
    low, high = measured.interval or (1.0, 0.0)
    # Fleiss, Cohen and Everitt's asymptotic standard error is .127 here: .15 to .65.
    assert low == pytest.approx(0.15, abs=0.05)
    assert high == pytest.approx(0.65, abs=0.05)


def test_weighted_kappa_by_hand() -> None:
    """Differences squared: seen 1 + 1 + 4 over 10 pairs, .6; by chance, with rows and columns of 4, 3 and 3,
    (12 + 12 + 9 + 9 + 48 + 48) / 100 = 1.38."""
    measured = agreement(*pairs_of([[3, 1, 0], [0, 2, 1], [1, 0, 2]]), seed=1, highest=3)
    assert measured.weighted_kappa == pytest.approx(1 - 0.6 / 1.38)
    assert measured.weighted_interval is not None


def test_a_grade_that_does_not_occur_keeps_its_place() -> None:
    """Grades 0, 1, 3, differences squared: seen 1 + 4 + 9 over 6 pairs; by chance, with rows and columns of
    2, 2, 0 and 2, 4 (1 + 9 + 1 + 4 + 9 + 4) / 36."""
    measured = agreement(
        *pairs_of([[1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 1]]), seed=1, highest=3
    )
    assert measured.weighted_kappa == pytest.approx(1 - (14 / 6) / (4 * 28 / 36))


def test_what_has_no_kappa_says_why() -> None:
    one = agreement({("a", "d"): 1, ("b", "d"): 2}, {("a", "d"): 1, ("b", "d"): 0}, seed=1, highest=3)
    assert one.kappa is None
    assert one.equal == 0.5
    assert one.why == "no kappa: people call all 2 pairs relevant"
    assert any("no kappa" in line for line in lines(one))
    none = agreement({}, {}, seed=1, highest=3)
    assert (none.pairs, none.why) == (0, "no kappa: no pair to compare")
    single = agreement({("a", "d"): 1, ("a", "e"): 0}, {("a", "d"): 1, ("a", "e"): 0}, seed=1, highest=3)
    assert (single.kappa, single.interval) == (1.0, None)
    assert single.why == "no interval: the pairs are of one query"


def test_two_scales_are_not_weighed_against_each_other() -> None:
    people, found = pairs_of([[3, 1, 0], [0, 2, 1], [1, 0, 2]])
    measured = agreement(people, found, seed=1, highest=1)
    assert measured.weighted_kappa is None
    beyond = "no kappa of the grades: people's go to 2, its to 1"
    assert measured.why == beyond
    assert measured.kappa is not None
    one_query = agreement({("a", "d"): 2, ("a", "e"): 0}, {("a", "d"): 1, ("a", "e"): 0}, seed=1, highest=1)
    assert one_query.why == f"no interval: the pairs are of one query; {beyond}"


def test_pairs_without_a_grade_are_counted_and_not_compared() -> None:
    people, found = pairs_of([[20, 5], [10, 15]])
    lost: dict[tuple[str, str], int | None] = {("x", "d"): None}
    measured = agreement({**people, ("x", "d"): 1, ("y", "d"): 0}, {**found, **lost}, seed=1, highest=3)
    assert (measured.pairs, measured.ungraded, measured.kappa) == (50, 2, pytest.approx(0.4))


def test_the_interval_goes_by_whole_queries() -> None:
    """Copies of each pair within its query say nothing new: the interval stays, where one over pairs would
    shrink to a third."""
    people, found = pairs_of([[20, 5], [10, 15]])
    copies = {(q, f"d{n}"): grade for (q, _), grade in people.items() for n in range(9)}
    copied = {(q, f"d{n}"): grade for (q, _), grade in found.items() for n in range(9)}
    assert agreement(copies, copied, seed=1, highest=3).interval == pytest.approx(
        agreement(people, found, seed=1, highest=3).interval
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_counts_sum_up_and_kappa_is_within_its_range(grades: list[tuple[int, int]]) -> None:
    people = {("q", f"d{n}"): row for n, (row, _) in enumerate(grades)}
    found: dict[tuple[str, str], int | None] = {("q", f"d{n}"): c for n, (_, c) in enumerate(grades)}
    measured = agreement(people, found, seed=1, highest=3)
    assert sum(measured.counts.values()) == len(grades)
    assert measured.kappa is None or -1 <= measured.kappa <= 1
    if all(max(row, 0) == column for row, column in grades) and measured.kappa is not None:
        assert measured.kappa == 1


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=9, max_size=9), min_size=1, max_size=5),
    st.sampled_from([None, "quadratic"]),
)
def test_many_tables_at_once_equal_sklearns(cells: list[list[int]], weights: str | None) -> None:
    tables = np.array(cells, dtype=float).reshape(-1, 3, 3) + np.eye(3)
    for table, value in zip(tables, kappas(tables, weights), strict=True):
        rows, columns = np.divmod(np.repeat(np.arange(9), table.ravel().astype(int)), 3)
        assert value == pytest.approx(cohen_kappa_score(rows, columns, weights=weights))
