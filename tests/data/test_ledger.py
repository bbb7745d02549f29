"""The ledger: its sums are those of the groups and of `mining.json`, whatever the settings."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.data import MiningSettings, mine, read_groups, read_ledger
from crosstune.errors import InputError
from crosstune.records import ranking
from mining_cases import other_run, random_case

OF_THE_QUERY = ("judged_positive", "outside_ranks", "reviewed", "near_copy", "likely_positive", "doubtful")


def letters_teacher(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """A teacher that knows nothing: logits from -6 to 6, by the passage's last characters."""
    return [float(sum(map(ord, passage[-4:])) % 13 - 6) for _, passage in pairs]


FURTHER = (
    [{"first_stage": {"kind": "trec", "path": "a"}, "share": 0.5}],
    [
        {"first_stage": {"kind": "trec", "path": "a"}, "share": 0.3, "margin": 0.5},
        {"first_stage": {"kind": "trec", "path": "b"}, "share": 0.7, "name": "b", "relative_margin": 0.1},
    ],
)
OPTIONS = st.fixed_dictionaries(
    {"negatives": st.integers(1, 9), "first_rank": st.integers(1, 3), "last_rank": st.integers(12, 40)},
    optional={
        "random_negatives": st.sampled_from([0.25, 0.5, 1.0]),
        "max_uses": st.integers(1, 3),
        "margin": st.sampled_from([0.0, 0.5, 3.0]),
        "relative_margin": st.sampled_from([0.0, 0.1, 0.5]),
        "near_copy": st.sampled_from([0.6, 0.8, 1.0]),
        "teacher": st.just("letters"),
        "bands": st.just(
            [
                {"first_rank": 3, "last_rank": 6, "share": 0.5},
                {"first_rank": 8, "last_rank": 12, "share": 0.5},
            ]
        ),
        "max_groups": st.integers(1, 9),
        "further": st.sampled_from(FURTHER),
    },
)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), options=OPTIONS, reviewed=st.booleans(), second=st.booleans())
def test_the_sums_agree(seed: int, options: dict[str, Any], reviewed: bool, second: bool) -> None:
    collection, run = random_case(seed, queries=4, depth=25)
    others = {name: other_run(run, collection, seed, name) for name in ("trec", "b")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if reviewed:
            options["review"] = str(folder / "review.jsonl")
            verdicts = ("relevant", "not", "unsure")
            lines = [
                json.dumps({"query_id": q, "doc_id": d, "verdict": verdicts[n % 3]})
                for q, scores in run.items()
                for n, d in enumerate(list(scores)[:6])
            ]
            (folder / "review.jsonl").write_text("".join(line + "\n" for line in lines))
        given_settings = MiningSettings.model_validate(options)
        teacher = letters_teacher if given_settings.teacher else None
        model = letters_teacher if second else None
        try:
            mine(collection, run, given_settings, seed, folder, teacher, further=others, model=model)
        except InputError as error:
            assert "no group could be mined" in str(error)
            return
        summary = json.loads((folder / "mining.json").read_text())
        groups = read_groups(folder)
        rows = list(read_ledger(folder / "ledger.parquet"))

    pairs = [(row["query_id"], row["doc_id"]) for row in rows]
    assert len(set(pairs)) == len(pairs)
    taken = Counter((g.query_id, g.doc_ids[0], d) for g in groups for d in g.doc_ids[1:])
    assert taken == Counter((r["query_id"], p, r["doc_id"]) for r in rows for p in r["taken_for"])
    counts = dict(summary["candidates"])
    assert counts.pop("seen") == sum(counts.values()) == sum(row["groups"] for row in rows)
    assert counts["taken"] == sum(taken.values())
    reasons = Counter(row["reason"] for row in rows)
    assert {k: n for k, n in summary["ledger"].items() if n} == reasons
    for reason in OF_THE_QUERY:
        assert counts[reason] == sum(row["groups"] for row in rows if row["reason"] == reason)
    runs = {"": run} | {f"_{f.label}": others[f.label] for f in given_settings.further}
    for suffix, found in runs.items():
        of_run = {(q, d): found[q][d] for q in {r["query_id"] for r in rows} for d in found[q]}
        in_ledger = {pair: row for pair, row in zip(pairs, rows, strict=True) if row["rank" + suffix]}
        assert {pair: row["score" + suffix] for pair, row in in_ledger.items()} == of_run
        for (query_id, doc_id), row in in_ledger.items():
            assert ranking(found[query_id])[row["rank" + suffix] - 1] == doc_id
    sources = Counter(source for row in rows for source in row["taken_from"])
    assert {k: n for k, n in summary["taken_from"].items() if n} == sources
    shares = {f.label: f.share for f in given_settings.further}
    for row in rows:
        assert (row["reason"] == "taken") == bool(row["taken_for"])
        assert len(row["taken_from"]) == len(row["taken_for"])
        drawn = all(row["rank" + suffix] is None for suffix in runs)
        assert {source == "random" for source in row["taken_from"]} <= {drawn}
        for source in set(row["taken_from"]) - {"random"}:
            rank = row["rank" if source == "first_stage" else f"rank_{source}"]
            assert given_settings.first_rank <= rank <= given_settings.last_rank
    by_group = Counter(
        (r["query_id"], p, s) for r in rows for p, s in zip(r["taken_for"], r["taken_from"], strict=True)
    )
    for (_, _, source), count in by_group.items():
        if source in shares:
            bands = len(given_settings.bands or [1])
            assert count <= shares[source] * given_settings.negatives + bands


def test_rows_are_written_in_bounded_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crosstune.data.mining.ledger.ROWS_AT_ONCE", 40)
    collection, run = random_case(1, queries=8, depth=30)
    mine(collection, run, MiningSettings(), 1, tmp_path)
    with pq.ParquetFile(tmp_path / "ledger.parquet") as file:
        sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        assert file.schema_arrow.metadata[b"crosstune"] == b"ledger, schema 2"
    assert max(sizes) == 40
    assert sum(sizes) == 240


def test_one_query_is_read_alone(tmp_path: Path) -> None:
    collection, run = random_case(1, queries=4)
    mine(collection, run, MiningSettings(), 1, tmp_path)
    rows = list(read_ledger(tmp_path / "ledger.parquet", ["q0"]))
    assert {row["query_id"] for row in rows} == {"q0"}
    assert sorted(row["rank"] for row in rows) == list(range(1, 31))


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(InputError, match=r"ledger\.parquet: is no ledger .*run crosstune mine again"):
        list(read_ledger(tmp_path / "ledger.parquet"))
    with pytest.raises(InputError, match="no such file; crosstune mine writes it"):
        list(read_ledger(tmp_path / "none.parquet"))
