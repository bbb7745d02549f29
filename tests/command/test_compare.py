"""`crosstune compare`: figures worked by hand, and runs that do not fit each other."""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path

import pytest
from conftest import Crosstune

RANKS_A = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
RANKS_B = [1, 1, 1, 1, 1, 1, 1, 1, 1, 20]


def write_ranked(path: Path, ranks: list[int], length: int = 20) -> Path:
    """A run over q0, q1, ... with the positive `p<i>` at the given rank among others."""
    lines = []
    for number, rank in enumerate(ranks):
        docs = [f"x{place}" for place in range(length - 1)]
        docs.insert(rank - 1, f"p{number}")
        lines += [f"q{number} Q0 {doc} {place} {-place} t" for place, doc in enumerate(docs, start=1)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "qrels.txt").write_text("".join(f"q{n} 0 p{n} 1\n" for n in range(10)))
    write_ranked(tmp_path / "a.trec", RANKS_A)
    write_ranked(tmp_path / "b.trec", RANKS_B)
    return tmp_path


def _reciprocal(ranks: list[int]) -> list[float]:
    return [1 / rank if rank <= 10 else 0.0 for rank in ranks]


def test_two_runs_by_hand(files: Path, crosstune: Crosstune) -> None:
    done = crosstune("compare", "a.trec", "b.trec", "--qrels", "qrels.txt", "-m", "RR@10", "-m", "R@20",
                     "-m", "Success@1", "--json")  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    before, after = _reciprocal(RANKS_A), _reciprocal(RANKS_B)
    assert found["totals"]["a.trec"]["RR@10"] == pytest.approx(statistics.mean(before))
    assert found["totals"]["b.trec"]["RR@10"] == pytest.approx(statistics.mean(after))
    tested = found["tested"]["b.trec"]
    rr = tested["RR@10"]["comparison"]
    differences = [b - a for a, b in zip(before, after, strict=True)]
    assert rr["difference"] == pytest.approx(statistics.mean(differences))
    assert rr["effect"] == pytest.approx(statistics.mean(differences) / statistics.stdev(differences))
    assert (rr["wins"], rr["ties"], rr["losses"]) == (8, 1, 1)
    flips = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=10)
    ]
    exact = sum(flip >= abs(sum(differences)) - 1e-9 for flip in flips) / len(flips)
    assert (rr["exact"], rr["p"]) == (True, pytest.approx(exact))
    success = tested["Success@1"]["comparison"]
    assert success["p"] == pytest.approx(2 / 2**8)  # eight queries changed, all one way
    # R@20 is equal for all queries and takes no part: two tests, the smaller p doubled.
    assert (found["tests"], tested["R@20"]["verdict"]) == (2, "equal for every query")
    assert tested["RR@10"]["p_holm"] == pytest.approx(max(2 * exact, 2 / 2**8))
    assert tested["Success@1"]["p_holm"] == pytest.approx(2 * 2 / 2**8)
    # Two tests share 5 %: 2.5 % two-sided and 80 % power are 2.2414 + 0.8416 standard errors.
    expected = (2.241403 + 0.841621) * statistics.stdev(differences) / 10**0.5
    assert rr["detectable"] == pytest.approx(expected, abs=1e-5)


def test_the_queries_that_changed_with_their_documents(files: Path, crosstune: Crosstune) -> None:
    (files / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{n}", "text": f"words {n}"}) + "\n" for n in range(10))
    )
    words = ("compare", "a.trec", "b.trec", "--qrels", "qrels.txt", "-m", "RR@10", "--changed", "1",
             "--shown", "2", "--queries", "queries.jsonl")  # fmt: skip
    gained, lost = json.loads(crosstune(*words, "--json").out)["changed"]["b.trec"]
    assert (gained["query_id"], gained["text"], gained["before"], gained["after"]) == (
        "q8", "words 8", pytest.approx(1 / 9), 1.0,
    )  # fmt: skip
    assert gained["documents_before"][-1] == {
        "rank": 9,
        "doc_id": "p8",
        "grade": 1,
        "other_rank": 1,
        "text": None,
    }
    assert gained["documents_after"][0] == {
        "rank": 1,
        "doc_id": "p8",
        "grade": 1,
        "other_rank": 9,
        "text": None,
    }
    assert gained["documents_after"][1]["grade"] is None
    assert (lost["query_id"], lost["after"], len(lost["documents_after"])) == ("q9", 0.0, 3)
    text = crosstune(*words).out
    assert "q8  words 8  0.111 -> 1.000" in text
    assert "*  9. p8 [1] (1)" in text
    assert "RR@10: better than chance explains" in text
    corpus = files / "corpus.jsonl"
    corpus.write_text(json.dumps({"_id": "p8", "title": "A title", "text": "and a text"}) + "\n")
    assert "*  9. p8 [1] (1) A title and a text" in crosstune(*words, "--corpus", corpus).out
    corpus.write_text(json.dumps({"_id": "other", "title": "", "text": "a text"}) + "\n")
    foreign = crosstune(*words, "--corpus", corpus)
    assert (foreign.code, "holds none of the runs' documents ('p8')" in foreign.err) == (2, True)
    assert "(= where exact), no correction needed" in text


def test_pairs_against_the_first_share_the_correction(files: Path, crosstune: Crosstune) -> None:
    write_ranked(files / "c.trec", [1, 2, 3, 4, 5, 6, 7, 8, 9, 1])
    done = crosstune("compare", "a.trec", "b.trec", "c.trec", "--qrels", "qrels.txt", "-m", "Success@1",
                     "--json")  # fmt: skip
    found = json.loads(done.out)
    assert (list(found["tested"]), found["tests"]) == (["b.trec", "c.trec"], 2)
    assert found["tested"]["b.trec"]["Success@1"]["p_holm"] == pytest.approx(2 * 2 / 2**8)
    assert "too few queries changed to tell (1)" in found["tested"]["c.trec"]["Success@1"]["verdict"]


def test_other_queries_are_refused_until_it_is_said_what_they_mean(files: Path, crosstune: Crosstune) -> None:
    write_ranked(files / "short.trec", RANKS_B[:7])
    words = ("compare", "a.trec", "short.trec", "--qrels", "qrels.txt", "-m", "RR@10", "--json")
    refused = crosstune(*words)
    assert (refused.code, refused.out) == (2, "")
    assert "different judged queries (a.trec: 10, short.trec: 7; 7 in all of them" in refused.err
    assert "'q7' is only in some" in refused.err
    skipped = json.loads(crosstune(*words, "--missing", "skip").out)
    assert (skipped["queries"], skipped["totals"]["short.trec"]["RR@10"]) == (7, 1.0)
    assert "3 of 10 judged queries are left out" in skipped["notes"][0]
    as_zero = json.loads(crosstune(*words, "--missing", "zero").out)
    assert (as_zero["queries"], as_zero["totals"]["short.trec"]["RR@10"]) == (10, 0.7)
    (files / "last.trec").write_text("q9 Q0 p9 1 1 t\n")
    nothing = crosstune("compare", "short.trec", "last.trec", "--qrels", "qrels.txt", "-m", "RR@10",
                        "--missing", "skip")  # fmt: skip
    assert (nothing.code, "no judged query in common" in nothing.err) == (2, True)


def test_a_run_that_was_cut_is_not_marked_down_for_it(files: Path, crosstune: Crosstune) -> None:
    write_ranked(files / "cut.trec", [*RANKS_B[:9], 3], length=12)
    words = ("compare", "a.trec", "cut.trec", "--qrels", "qrels.txt")
    refused = crosstune(*words)
    assert refused.code == 2
    assert (
        "R@100 reads deeper than cut.trec goes: it lists 12 documents a query, a.trec up to 20" in refused.err
    )
    assert crosstune(*words, "-m", "nDCG@10").code == 0
    same = json.loads(crosstune(*words, "--depth", "12", "--json").out)
    assert same["depths"] == {"a.trec": 12, "cut.trec": 12}
    # A first stage that finds fewer documents by itself has lists of many lengths: it is measured as it is.
    lines = (files / "cut.trec").read_text().splitlines()
    some = [line for line in lines if int(line.split()[3]) <= 3 + int(line[1])]
    (files / "natural.trec").write_text("\n".join(some) + "\n")
    assert crosstune("compare", "a.trec", "natural.trec", "--qrels", "qrels.txt").code == 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0 Q0 p0 1 1 t"], "share no query"),
        (["0 Q0 p0 1 1 t"], "but for what stands before the number"),
        (["t1 Q0 p0 1 1 t"], "in other.txt: the judgements of another split"),
        (["q0 Q0 p0 1 nan t"], "bad.trec:1: score 'nan' is not a finite number"),
        (["q0 Q0 p0 1 1 t", "q0 Q0 p0 2 1 t"], "bad.trec:2: document 'p0' is listed twice for query 'q0'"),
        ([], "bad.trec: is empty"),
    ],
)
def test_a_run_that_cannot_be_compared(
    files: Path, crosstune: Crosstune, lines: list[str], message: str
) -> None:
    (files / "bad.trec").write_text("".join(f"{line}\n" for line in lines))
    (files / "other.txt").write_text("t1 0 p0 1\n")
    done = crosstune("compare", "a.trec", "bad.trec", "--qrels", "qrels.txt")
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.trec"], "name a second run"),
        (["a.trec", "./a.trec", "--qrels", "qrels.txt"], "./a.trec: is named twice"),
        (["a.trec", "b.trec"], "give the judgements with --qrels FILE"),
        (["a.trec", "b.trec", "--qrels", "qrels.txt", "-m", "nDGC@10"], "is no measure of ir_measures"),
        (["a.trec", "none.trec", "--qrels", "qrels.txt"], "none.trec: no such file"),
    ],
)
def test_words_that_cannot_be_followed(
    files: Path, crosstune: Crosstune, words: list[str], message: str
) -> None:
    done = crosstune("compare", *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
