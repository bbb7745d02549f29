"""`mine.query_share`: parts of the labelled queries, each in the next."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from crosstune.data import MiningSettings, mine, read_groups
from crosstune.data.mining.mine import _of_share
from crosstune.records import Collection


@given(
    st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 5)), min_size=1, unique=True),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
    st.integers(0, 9),
)
def test_a_smaller_share_lies_in_a_larger(
    pairs: list[tuple[str, int]], one: float, other: float, seed: int
) -> None:
    positives = sorted((query, str(doc)) for query, doc in pairs)
    small, large = (_of_share(positives, share, seed) for share in sorted((one, other)))
    assert small and set(small) <= set(large)
    kept = {query for query, _ in small}
    assert small == [pair for pair in positives if pair[0] in kept], "a query keeps all its positives"
    assert _of_share(positives, 1.0, seed) == positives


def test_a_share_is_counted(tmp_path: Path) -> None:
    queries = {f"q{n}": f"query {n}" for n in range(12)}
    passages = {f"d{n}": f"passage number {n} {'x' * n}" for n in range(12)}
    qrels = {f"q{n}": {f"d{n}": 1} for n in range(12)}
    collection = Collection("c", passages, queries, {"train": qrels})
    run = {query_id: {doc: float(n) for n, doc in enumerate(passages)} for query_id in queries}
    settings = MiningSettings(negatives=2, max_groups=8, query_share=0.4)
    summary = mine(collection, run, settings, 3, tmp_path)
    assert summary.groups == len(read_groups(tmp_path)) == 4
    assert summary.left_out == {"no_negative": 0, "over_max_groups": 4, "outside_query_share": 4}
