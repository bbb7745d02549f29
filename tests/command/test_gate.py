"""`crosstune gate` through the command line: its exit codes, its lines, and its JUnit file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Crosstune
from junitparser import JUnitXml
from test_compare import RANKS_A, RANKS_B, write_ranked

GATE = ("gate", "b.trec", "--qrels", "qrels.txt")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "qrels.txt").write_text("".join(f"q{n} 0 p{n} 1\n" for n in range(10)))
    write_ranked(tmp_path / "a.trec", RANKS_A)
    write_ranked(tmp_path / "b.trec", RANKS_B)
    return tmp_path


def _cases(path: Path) -> dict[str, list[str]]:
    """Test case -> the kinds of its results."""
    (suite,) = JUnitXml.fromfile(str(path))
    return {case.name: [type(result).__name__ for result in case.result] for case in suite}


def test_all_that_is_asked_is_met(files: Path, crosstune: Crosstune) -> None:
    done = crosstune(*GATE, "--min", "RR@10>=.9", "--min", "R@20 > 0.5", "--not-worse-than", "a.trec",
                     "--junit", "out/gate.xml", "--json")  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["passed"] is True
    assert [(check["name"], check["passed"]) for check in found["checks"]] == [
        ("RR@10 >= 0.9", True), ("R@20 > 0.5", True), ("RR@10 not worse than a.trec", True),
        ("R@20 not worse than a.trec", True),
    ]  # fmt: skip
    assert found["checks"][0]["found"] == "0.9000"
    assert all(results == [] for results in _cases(files / "out/gate.xml").values())


def test_failed_lines_are_named_and_exit_is_1(files: Path, crosstune: Crosstune) -> None:
    done = crosstune("gate", "a.trec", "--qrels", "qrels.txt", "--min", "RR@10>.9", "--min", "R@20>=1",
                     "--not-worse-than", "b.trec", "--measure", "Success@1",
                     "--junit", "gate.xml")  # fmt: skip
    assert done.code == 1
    assert "FAIL  RR@10 > 0.9" in done.out
    assert "pass  R@20 >= 1" in done.out
    assert "2 of 3 checks failed: RR@10 > 0.9 (found 0.2929); Success@1 not worse than b.trec" in done.err
    assert _cases(files / "gate.xml") == {
        "RR@10 > 0.9": ["Failure"], "R@20 >= 1": [], "Success@1 not worse than b.trec": ["Failure"],
    }  # fmt: skip


def test_a_margin_asks_for_proof_where_chance_would_pass(files: Path, crosstune: Crosstune) -> None:
    write_ranked(files / "c.trec", [1, 1, 1, 1, 1, 1, 1, 1, 4, 20])  # worse than b for one query of ten
    against_b = ("gate", "c.trec", "--qrels", "qrels.txt", "--not-worse-than", "b.trec", "-m", "RR@10")
    by_chance = crosstune(*against_b)
    assert by_chance.code == 0
    assert "too few queries changed to tell (1)" in by_chance.out
    # One query of ten lost .75: the interval's lower end lies between -.3 and -.075.
    strict = crosstune(*against_b, "--margin", "0.07")
    assert (strict.code, "FAIL  RR@10 at most 0.07 below b.trec" in strict.out) == (1, True)
    assert crosstune(*against_b, "--margin", "0.4").code == 0


def test_what_an_evaluation_holds_can_be_checked_without_judgements(
    files: Path, crosstune: Crosstune
) -> None:
    assert crosstune("evaluate", "b.trec", "--qrels", "qrels.txt", "-m", "RR@10", "--out", "result").code == 0
    assert crosstune("gate", "result", "--min", "RR@10>=.9").code == 0
    other = crosstune("gate", "result", "--min", "nDCG@10>=.1")
    assert other.code == 2
    assert "result: nDCG@10 was not computed there (it holds RR@10); give the judgements" in other.err


def test_a_run_that_was_cut_is_compared_at_its_depth(files: Path, crosstune: Crosstune) -> None:
    write_ranked(files / "cut.trec", [*RANKS_B[:9], 3], length=12)
    words = ("gate", "cut.trec", "--qrels", "qrels.txt", "--not-worse-than", "a.trec", "-m", "R@20")
    refused = crosstune(*words)
    assert refused.code == 2
    assert "Compare the same depth with --depth 12" in refused.err
    assert crosstune(*words, "--depth", "12").code == 0


def test_the_latency_of_an_endpoint_that_was_measured(files: Path, crosstune: Crosstune) -> None:
    """What `crosstune evaluate --endpoint --out` keeps: here the figures are put into a real folder."""
    assert crosstune("evaluate", "b.trec", "--qrels", "qrels.txt", "-m", "RR@10", "--out", "result").code == 0
    path = files / "result" / "metrics.json"
    metrics = json.loads(path.read_text())
    path.write_text(json.dumps(metrics | {"rerankers": {metrics["system"]: {"p50_ms": 43.98}}}))
    done = crosstune("gate", "result", "--max-latency", "40")
    assert done.code == 1
    assert "44.0 ms (median of the requests)" in done.out
    assert crosstune("gate", "result", "--max-latency", "50").code == 0


def test_a_folder_in_place_of_the_junit_file_is_named(files: Path, crosstune: Crosstune) -> None:
    (files / "gate.xml").mkdir()
    done = crosstune(*GATE, "--min", "RR@10>=.1", "--junit", "gate.xml")
    assert done.code == 2
    assert "gate.xml: is a folder, and a file is to be written" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to check"),
        (["--min", "nDGC@10>=.5"], "'nDGC@10' is no measure of ir_measures"),
        (["--min", "RBP>=.5"], "no installed package computes it"),
        (["--min", "nDCG@10=.5"], "--min 'nDCG@10=.5': a measure, >= or > and a number were expected"),
        (["--min", "nDCG@10>=nan"], "a number were expected"),
        (["--max-latency", "5"], "b.trec: no latency was measured for it"),
        (["--max-latency", "nan"], "--max-latency nan: a number above 0"),
        (["--margin", ".1", "--min", "RR>=.1"], "give --not-worse-than RUN with it"),
        (["--not-worse-than", "b.trec"], "b.trec: is named twice"),
        (["--min", "RR>=.1", "--qrels", "t.txt"], "share no query"),
        (["--min", "P>=.5"], "measure P: it lacks cutoff"),
        (["--min", "RR>=.1", "--depth", "5"], "--depth says how a run is compared"),
        (["--not-worse-than", "none.trec"], "none.trec: no such file"),
    ],
)
def test_what_cannot_be_checked_is_exit_2_and_an_error_in_the_file(
    files: Path, crosstune: Crosstune, words: list[str], message: str
) -> None:
    (files / "t.txt").write_text("t1 0 p0 1\n")
    (files / "gate.xml").write_text("<testsuites/>")  # of an earlier gate, that passed
    done = crosstune(*GATE, *words, "--junit", "gate.xml")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert _cases(files / "gate.xml") == {"input": ["Error"]}
