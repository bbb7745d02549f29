"""The MS MARCO script's rules: by hand, and against the script itself as ir_measures carries it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ir_measures.bin import msmarco_eval

from crosstune.errors import InputError
from crosstune.evaluate.msmarco import MsMarcoResult, ms_marco_eval

QRELS = "1\t0\t10\t1\n1\t0\t11\t0\n2\t0\t20\t1\n3\t0\t30\t1\n4\t0\t40\t1\n"


def _score(folder: Path, qrels: str, run: str) -> MsMarcoResult:
    (folder / "qrels.tsv").write_text(qrels)
    (folder / "run.tsv").write_text(run)
    return ms_marco_eval(folder / "qrels.tsv", folder / "run.tsv")


def test_a_small_file_by_hand(tmp_path: Path) -> None:
    # Query 1: passage 11 (grade 0, which the script does not read) at rank 2. Query 2: rank 1, though its
    # line comes last. Query 3: rank 11, too deep. Query 4: missing. Query 9: not judged.
    run = "1\t99\t1\n1\t11\t2\n2\t21\t2\n2\t20\t1\n3\t30\t11\n9\t1\t1\n"
    result = _score(tmp_path, QRELS, run)
    assert result.mrr == pytest.approx((1 / 2 + 1 + 0 + 0) / 4)
    assert result.per_query == {1: 0.5, 2: 1.0, 3: 0.0, 4: 0.0}
    assert (result.queries, result.queries_ranked) == (4, 4)
    (note,) = result.notes
    assert "qrels.tsv:2: a grade other than 1, which the script does not read" in note


LINE = st.tuples(st.integers(1, 4), st.integers(0, 6), st.integers(-2, 14))
LINES = st.lists(LINE, min_size=1, max_size=25)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(judged=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), min_size=1), ranked=LINES)
def test_equal_to_the_script(
    tmp_path: Path, judged: list[tuple[int, int]], ranked: list[tuple[int, int, int]]
) -> None:
    qrels = "".join(f"{q}\t0\t{p}\t1\n" for q, p in judged)
    run = "".join(f"{q}\t{p}\t{r}\n" for q, p, r in ranked)
    (tmp_path / "script.qrels").write_text(qrels)
    (tmp_path / "script.run").write_text(run)
    relevant = msmarco_eval.load_reference(tmp_path / "script.qrels")
    candidates = msmarco_eval.load_candidate(tmp_path / "script.run")
    allowed, _ = msmarco_eval.quality_checks_qids(relevant, candidates)
    if not allowed or not relevant.keys() & candidates.keys():
        with pytest.raises(InputError):
            _score(tmp_path, qrels, run)
        return
    theirs = msmarco_eval.compute_metrics(relevant, candidates)
    ours = _score(tmp_path, qrels, run)
    assert ours.mrr == pytest.approx(sum(theirs["MRR @10 by query"].values()) / len(relevant), abs=1e-12)
    assert ours.queries_ranked == theirs["QueriesRanked"]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("1\t10\t1001\n", "run.tsv:1: rank is 1001; the MS MARCO script takes 1 to 1000"),
        ("1\t10\t1\nq2\t20\t1\n", "run.tsv:2: 'q2\\t20\\t1': qid, pid and rank, integers"),
        ("1\tD10\t1\n", "run.tsv:1: '1\\tD10"),
        ("1\t10\t1.0\n", "run.tsv:1:"),
        ("1\t10\n", "run.tsv:1:"),
        ("1 Q0 10 1 0.5 tag\n", "this looks like a TREC run. To make an MS MARCO run of it: awk"),
        ("1\t10\t1\n1\t10\t2\n", "passage 10 stands at 2 ranks of query 1"),
        ("7\t10\t1\n", "no query of it is in"),
    ],
)
def test_where_the_script_complains_there_is_one_message(tmp_path: Path, run: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        _score(tmp_path, QRELS, run)


@pytest.mark.parametrize(
    ("qrels", "run", "note", "mrr"),
    [
        ("1\t0\t10\t1\n", "1\t10\t0\n", "run.tsv:1: a rank below 1 counts from the end", 0.0),
        ("1\t0\t10\t1\n", "1\t10\t1\n1\t11\t1\n", "run.tsv:2: a rank given twice keeps the later", 0.0),
        ("1\t0\t0\t1\n", "1\t5\t1\n", "the script takes a gap for passage 0", 0.5),
        ("1\t0\t10\t0\n", "1\t10\t1\n", "qrels.tsv:1: a grade other than 1, which the script does not", 1.0),
        ("1\t0\t7\t1\n2\t20\t1\n", "2\t1\t1\n", "qrels.tsv:2: fewer than 4 columns; the script takes", 0.5),
    ],
)
def test_what_the_script_decides_without_a_word_is_said(
    tmp_path: Path, qrels: str, run: str, note: str, mrr: float
) -> None:
    result = _score(tmp_path, qrels, run)
    assert result.mrr == mrr
    assert any(note in found for found in result.notes)
