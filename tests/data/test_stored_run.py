"""A run on disk is the run in memory, whatever the order of its lines."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.data import MiningSettings, mine, read_groups
from crosstune.errors import InputError
from crosstune.stored_run import StoredRun
from crosstune.trec import read_run, write_run
from mining_cases import random_case

IDS = st.sampled_from(["q1", "q10", "007", "ü", "1e3"])
ROWS = st.lists(
    st.tuples(IDS, st.integers(0, 99), st.floats(-5, 5, width=16)), unique_by=lambda row: (row[0], row[1])
)


@given(rows=ROWS, end=st.sampled_from(["\n", "\r\n"]), start=st.sampled_from(["", "\ufeff", "\n \n"]))
def test_every_query_reads_as_in_the_whole_run(
    rows: list[tuple[str, int, float]], end: str, start: str
) -> None:
    lines = [f"{query} Q0 d{doc} 1 {score} x" for query, doc, score in rows]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.trec"
        path.write_bytes((start + end.join(lines)).encode())
        stored = StoredRun(path)
        assert dict(stored) == read_run(path)
        assert len(stored) == len({query for query, _, _ in rows})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"q Q0 d 1 2.0 x\nq Q0 d 1 2.0", r"a\.trec:2: found 5 columns"),
        (b"p Q0 d 1 2.0 x\nq Q0 d 1 inf x", r"a\.trec:2: score 'inf' is not a finite number"),
        (b"q Q0 d 1 2 x\np Q0 d 1 2 x\nq Q0 d 2 1 x", r"a\.trec:3: document 'd' is listed twice"),
        (b"q Q0 d 1 2 x\n\xff Q0 d 1 2 x", r"a\.trec:2: not valid UTF-8"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "a.trec").write_bytes(text)
    with pytest.raises(InputError, match=message):
        dict(StoredRun(tmp_path / "a.trec"))
    with pytest.raises(InputError, match=r"b\.trec: no such file"):
        StoredRun(tmp_path / "b.trec")


def test_mining_from_disk_gives_the_same_groups_in_flat_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosstune.data.mining.ledger.ROWS_AT_ONCE", 200)
    monkeypatch.setattr("crosstune.data.groups.GROUPS_AT_ONCE", 10)
    _mine(tmp_path, 2)  # imports what it needs
    peaks = {queries: _peak(partial(_mine, tmp_path, queries)) for queries in (20, 120)}
    # What grows with the queries is less than a fifth of what their candidates and groups would take.
    candidates = _peak(lambda: read_run(tmp_path / "120.trec"))
    groups = _peak(lambda: read_groups(tmp_path / "120"))
    assert peaks[120] - peaks[20] < (candidates + groups) / 5
    collection, _ = random_case(7, queries=20, depth=30)
    mine(collection, read_run(tmp_path / "20.trec"), MiningSettings(), 1, tmp_path / "whole")
    assert read_groups(tmp_path / "whole") == read_groups(tmp_path / "20")


def _mine(folder: Path, queries: int) -> None:
    collection, run = random_case(7, queries=queries, depth=30)
    write_run(folder / f"{queries}.trec", run, "x")
    del run
    if tracemalloc.is_tracing():
        tracemalloc.reset_peak()
    mine(collection, StoredRun(folder / f"{queries}.trec"), MiningSettings(), 1, folder / f"{queries}")


def _peak(work: Callable[[], object]) -> int:
    """Bytes that Python held at most while it did the work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
