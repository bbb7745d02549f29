"""Splits: kept, or drawn by query; near-equal queries and, if asked, shared positives stay on one side."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.data.readers.records import Example, Judgement
from crosstune.data.splits import SplitRule, divide
from crosstune.data.store import Store
from crosstune.errors import InputError
from crosstune.label_sources import LabelSource
from crosstune.records import SPLITS, Split

WORDS = "river stone cloud bread lamp chair paper glass horse train bottle window garden pencil".split()  # noqa: SIM905
DRAWN = "which it has not, drawn by query with seed 13"


def _store(pairs: list[tuple[str, str]], sides: dict[str, Split] | None = None) -> Store:
    """`sides`: query text -> the split that the input says."""
    store = Store(Path(":memory:"), keep_rows=False)
    for query, passage in pairs:
        store.add(Example(query, [passage], [1], "x:1", split=(sides or {}).get(query)))
    return store


def _sides(store: Store) -> dict[str, str]:
    """Query text -> its one split."""
    rows = list(
        store.ask("SELECT DISTINCT q.text, j.split FROM judgements j JOIN queries q ON q.id = j.query")
    )
    sides = dict(rows)
    assert len(sides) == len(rows), "a query is in two splits"
    return sides


def _queries(count: int) -> list[str]:
    rng = random.Random(1)
    return [" ".join(rng.sample(WORDS, 5)) + f" {n}" for n in range(count)]


def test_shares_and_seed_decide() -> None:
    pairs = [(query, f"p{n}") for n, query in enumerate(_queries(50))]
    stores = [_store(pairs), _store(list(reversed(pairs))), _store(pairs)]
    for store, seed in zip(stores, (3, 3, 4), strict=True):
        divide(store, SplitRule(0.2, 0.1, seed))
    first, same, other = map(_sides, stores)
    assert first == same
    assert first != other
    assert sorted(first.values()).count("dev") == 10
    assert sorted(first.values()).count("test") == 5


def _with_splits(sides: dict[str, Split]) -> Store:
    return _store([(query, f"p{number}") for number, query in enumerate(sides)], sides)


def test_dev_is_drawn_from_train_where_only_dev_is_missing() -> None:
    queries = _queries(50)
    sides: dict[str, Split] = {query: "test" if n < 10 else "train" for n, query in enumerate(queries)}
    sides[f"{queries[0]}?"] = "train"  # nearly a test query
    store = _with_splits(sides)
    told = divide(store, SplitRule(0.1, 0.1, 3))
    assert told.startswith("kept as the input has them; dev, which it has not, drawn by query with seed 3")
    found = _sides(store)
    assert {query for query, split in found.items() if split == "test"} == {*queries[:10]}
    assert sorted(found.values()).count("dev") == 4


def test_what_is_there_stays_where_nothing_is_to_be_drawn() -> None:
    queries = _queries(50)
    whole: dict[str, Split] = dict(zip(queries, ("train", "dev", "test"), strict=False))
    lone: list[dict[str, Split]] = [dict.fromkeys(queries, split) for split in SPLITS]
    cases: list[tuple[dict[str, Split], SplitRule, str]] = [
        (whole, SplitRule(), ""),
        *((kept, SplitRule(0, 0), "") for kept in lone),
        (lone[2], SplitRule(to_train=False), ""),
        (lone[2], SplitRule(test=0), ""),
        ({"a": "train", "b": "test"}, SplitRule(), "; dev not drawn, as there are too few queries"),
        ({"a": "test"}, SplitRule(), "; train and dev not drawn, as there are too few queries"),
    ]
    for kept, rule, reason in cases:
        store = _with_splits(kept)
        assert divide(store, rule) == f"kept as the input has them{reason}"
        assert _sides(store) == kept
    store = _with_splits(lone[0])
    store.add(LabelSource("train", "q", "d", "generated", "a model"))
    assert divide(store, SplitRule()).endswith("; dev and test not drawn, as some judgements are generated")
    assert _sides(store) == lone[0]


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_alone_is_divided_as_an_input_without_splits(split: Split) -> None:
    queries = _queries(50)
    without, store = (
        _store([(q, f"p{n}") for n, q in enumerate(queries)]),
        _with_splits(dict.fromkeys(queries, split)),
    )
    divide(without, SplitRule(0.2, 0.1, 3))
    told = divide(store, SplitRule(0.2, 0.1, 3))
    assert _sides(store) == _sides(without)
    missing = " and ".join(other for other in SPLITS if other != split)
    assert f"{missing}, which it has not, drawn by query with seed 3" in told
    assert (f"from {split} (--{split} 0 keeps it whole)" in told) == (split != "train")


def _near_ten(stays: Split, pool: Split) -> tuple[Store, set[str], set[str]]:
    """50 queries, ten of them in `stays`, and nearly these ten again in `pool` with the other 40; the ten,
    and those near them."""
    queries = _queries(50)
    sides: dict[str, Split] = {query: stays if n < 10 else pool for n, query in enumerate(queries)}
    near: dict[str, Split] = {f"{query}?": pool for query in queries[:10]}
    return _with_splits(sides | near), {*queries[:10]}, {*near}


@pytest.mark.parametrize(
    ("stays", "pool", "rule", "drawn", "count", "said"),
    [
        (
            "dev",
            "train",
            SplitRule(0.1, 0.7),
            "test",
            35,
            "; test, which it has not, drawn by query with seed 13",
        ),
        ("test", "dev", SplitRule(0.1, 0.1), "train", 36, "but dev: train, " + DRAWN),
        ("test", "train", SplitRule(0.7), "dev", 35, "; dev, " + DRAWN),
    ],
)
def test_what_is_drawn_is_not_near_a_split_that_is_there(
    stays: Split, pool: Split, rule: SplitRule, drawn: Split, count: int, said: str
) -> None:
    store, ten, near = _near_ten(stays, pool)
    assert said in divide(store, rule)
    found = _sides(store)
    assert {query for query, split in found.items() if split == stays} == ten
    assert {found[query] for query in near} == {pool}
    assert sorted(found.values()).count(drawn) == count


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_near_equal_queries_are_on_one_side(seed: int) -> None:
    bases = _queries(12)
    pairs = [(form, f"p{n}") for n, q in enumerate(bases) for form in (q, f"{q}?", q.upper(), f"{q} s")]
    store = _store(pairs)
    divide(store, SplitRule(0.25, 0.25, seed))
    sides = _sides(store)
    assert set(sides.values()) == {"train", "dev", "test"}
    for query in bases:
        assert len({sides[query], sides[f"{query}?"], sides[query.upper()], sides[f"{query} s"]}) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_shared_positives_are_on_one_side_when_asked(seed: int) -> None:
    pairs = [(query, f"p{n // 3}") for n, query in enumerate(_queries(30))]
    store = _store(pairs)
    divide(store, SplitRule(0.2, 0.2, seed, disjoint_positives=True))
    sides = _sides(store)
    for number in range(10):
        assert len({sides[query] for query, passage in pairs if passage == f"p{number}"}) == 1


def test_splits_of_the_input_are_kept_and_half_a_split_is_refused() -> None:
    store = _store([])
    store.add(Judgement("q", "d", 1, "a:1", "dev"))
    assert divide(store, SplitRule()).startswith("kept as the input has them")
    store.add(Judgement("r", "d", 1, "b:1"))
    with pytest.raises(InputError, match="b:1: belongs to no split, other judgements do"):
        divide(store, SplitRule())


def test_too_few_queries_are_refused() -> None:
    with pytest.raises(InputError, match="2 queries with a positive are too few"):
        divide(_store([("a b", "p"), ("c d", "r")]), SplitRule())
