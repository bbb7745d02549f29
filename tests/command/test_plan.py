"""`crosstune plan` through the command line: a curve worked by hand, a real run folder, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Crosstune

QUERIES = range(12)
PLAN = ("plan", "run.trec", "--qrels", "qrels.txt", "-m", "RR@10")
SPEED = ("--ms-per-pair", "10", "--budget-ms", "120")
FULL = (*PLAN, "--first-stage", "first.trec", *SPEED)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The first stage has the positive at rank 4; the run puts it first, but the document at rank 15 before
    it: depth 0 has RR 1/4, depths 5 and 10 have 1, depth 20 has 1/2."""
    first, run = [], []
    for query in QUERIES:
        for rank in range(1, 21):
            doc = f"p{query}" if rank == 4 else f"x{rank}"
            score = {4: 10, 15: 20}.get(rank, -rank)
            first.append(f"q{query} Q0 {doc} {rank} {100 - rank} t\n")
            run.append(f"q{query} Q0 {doc} 0 {score} t\n")
    (tmp_path / "qrels.txt").write_text("".join(f"q{query} 0 p{query} 1\n" for query in QUERIES))
    (tmp_path / "first.trec").write_text("".join(first))
    (tmp_path / "run.trec").write_text("".join(run))
    return tmp_path


def test_a_curve_by_hand(files: Path, crosstune: Crosstune) -> None:
    done = crosstune(*FULL, "--json")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert [(p["depth"], p["value"], p["milliseconds"], p["within_budget"]) for p in plan["points"]] == [
        (0, 0.25, 0, True), (5, 1.0, 50, True), (10, 1.0, 100, True), (20, 0.5, 200, False),
    ]  # fmt: skip
    assert [p["ceiling"] for p in plan["points"]] == [0.25, 1.0, 1.0, 1.0]
    assert (plan["best"], plan["smallest"], plan["peak"], plan["budget_depth"]) == (5, 5, 5, 12)
    (smaller,) = plan["smaller"]
    assert (smaller["depth"], smaller["tested"]["p_holm"]) == (0, pytest.approx(2 / 2**12))
    (deeper,) = plan["deeper"]  # 10 is equal to 5; one test is left
    assert (deeper["depth"], deeper["tested"]["p_holm"]) == (20, pytest.approx(2 / 2**12))
    assert deeper["tested"]["comparison"]["difference"] == -0.5
    text = crosstune(*FULL).out
    assert "every smaller depth is worse beyond chance: depth 5 is worth it" in text
    assert "reranking deeper than 5 makes it worse: 20 (-0.500, p = 0.00049)" in text


def test_a_depth_that_is_as_good_by_chance_is_enough(files: Path, crosstune: Crosstune) -> None:
    """Depth 10 gains one query of twelve over depth 5: too few to tell, so 5 is enough."""
    lines = (
        (files / "first.trec")
        .read_text()
        .replace("q0 Q0 p0 4", "q0 Q0 x8 4")
        .replace("q0 Q0 x8 8", "q0 Q0 p0 8")
    )
    (files / "first.trec").write_text(lines)
    plan = json.loads(crosstune(*FULL, "--json").out)
    assert (plan["best"], plan["smallest"]) == (10, 5)
    assert "smallest depth that is not worse beyond chance: depth 5 (-0.073, p = 1)" in crosstune(*FULL).out
    short = crosstune(*FULL, "--depth", "5", "--depth", "7", "--budget-ms", "40", "--json")
    assert [p["depth"] for p in json.loads(short.out)["points"]] == [0, 5, 7]
    nothing = crosstune(*FULL, "--budget-ms", "40").out
    assert "deeper than 10 lower" not in nothing  # at 20 it is worse beyond chance, and said to be
    assert "reranking deeper than 10 makes it worse: 20 (" in nothing
    assert "reranking does not pay here: no depth within the budget is better than depth 0" in nothing


def test_depths_end_where_the_run_was_not_scored(files: Path, crosstune: Crosstune) -> None:
    kept = [
        line
        for line in (files / "run.trec").read_text().splitlines()
        if " x18 " not in line or "q3 " not in line
    ]
    (files / "run.trec").write_text("\n".join(kept) + "\n")
    plan = json.loads(crosstune(*FULL, "--json").out)
    assert plan["scored_depth"] == 17
    assert [p["depth"] for p in plan["points"]] == [0, 5, 10, 17]
    beyond = crosstune(*FULL, "--depth", "18")
    assert (beyond.code, "--depth 18: the run scored the first 17 candidates" in beyond.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget-ms", "9"], "name the candidates that it reranks with --first-stage"),
        (["--budget-ms", "9", "--first-stage", "first.trec"], "how fast it was is not measured"),
        (["--budget-ms", "0"], "--budget-ms 0.0: a number above 0"),
        (["--budget-ms", "9", "--ms-per-pair", "nan"], "--ms-per-pair nan: a number above 0"),
        (["--budget-ms", "9", "-m", "nDGC"], "'nDGC' is no measure of ir_measures"),
        ([*SPEED, "--first-stage", "other.trec"], "are not among the first stage's for query 'q0'"),
        ([*SPEED, "--first-stage", "more.trec"], "does not score the first candidate of query 'q0'"),
        ([*SPEED, "--first-stage", "first.trec", "--qrels", "t.txt"], "share no query"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned(files: Path, crosstune: Crosstune, words: list[str], message: str) -> None:
    (files / "other.trec").write_text("q0 Q0 x1 1 1 t\n")
    (files / "more.trec").write_text("q0 Q0 new 1 200 t\n" + (files / "first.trec").read_text())
    (files / "t.txt").write_text("t1 0 p0 1\n")
    done = crosstune(*PLAN, *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.slow
def test_a_run_folder_knows_all_that_is_needed(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    for stage in ("retrieve", "mine", "train", "evaluate"):
        assert crosstune(stage, recipe).code == 0
    metrics = json.loads((tmp_path / "runs/tiny/evaluate/metrics.json").read_text())
    systems, times = metrics["splits"]["test"], metrics["milliseconds_per_query"]
    plan = json.loads(crosstune("plan", "runs/tiny", "--budget-ms", "1e6", "--json").out)
    first, *_, last = plan["points"]
    assert first["value"] == pytest.approx(systems["first_stage"]["nDCG@10"])
    assert last["value"] == pytest.approx(systems[metrics["recommended"]]["nDCG@10"])
    assert last["ceiling"] == pytest.approx(systems["ceiling"]["nDCG@10"])
    assert last["milliseconds"] == pytest.approx(times["first_stage"] + times["tuned"])
    little = crosstune("plan", "runs/tiny", "--budget-ms", "1e-9")
    assert (little.code, "the first stage alone takes" in little.err) == (2, True)

    value = systems[metrics["recommended"]]["nDCG@10"]
    words = ("gate", "runs/tiny", "--max-latency")
    assert crosstune(*words, "1e6", "--min", f"nDCG@10>={value - 1e-6}").code == 0
    slow = crosstune(*words, "1e-6")
    assert (slow.code, "reranking at most 1e-06 ms a query" in slow.err) == (1, True)

    done = crosstune("compare", "runs/tiny/retrieve/test.trec", "runs/tiny", "-m", "nDCG@10", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["tested"]["runs/tiny"]["nDCG@10"]["comparison"]["difference"] == pytest.approx(
        value - systems["first_stage"]["nDCG@10"]
    )
    assert all(query["text"] for query in found["changed"]["runs/tiny"])

    assert crosstune("evaluate", recipe, "evaluate.test_queries=6").code == 0
    sample = json.loads(
        crosstune("compare", "runs/tiny", "runs/tiny/retrieve/test.trec", "-m", "nDCG@10", "--json").out
    )
    assert sample["queries"] == 6
    assert sample["notes"][0] == "4 of 10 judged queries are left out: a run folder measured only some"
