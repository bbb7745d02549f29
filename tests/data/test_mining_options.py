"""Each option of mining by an example whose answer is worked by hand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from crosstune.data import MiningSettings, mine, read_groups, read_ledger
from crosstune.data.mining.draw import quotas
from crosstune.errors import InputError
from crosstune.records import Collection, Run
from mining_cases import random_case

FRUITS = ("pear", "plum", "fig", "lime", "kiwi", "date", "nut", "pea")
PASSAGES = {f"d{n}": f"{fruit} {n * 7919}" for n, fruit in enumerate(FRUITS)}
RUN: Run = {"q": {f"d{n}": 10.0 - n for n in range(6)}}  # d6, d7 are not retrieved


def _mine(folder: Path, judged: dict[str, int] | None = None, **options: Any) -> dict[str, Any]:
    """Mines for the one query, whose positive is d1 of grade 3 unless `judged` says otherwise."""
    collection = Collection("c", PASSAGES, {"q": "fruit"}, {"train": {"q": judged or {"d1": 3}}})
    teacher = _teacher if "teacher" in options else None
    mine(collection, RUN, MiningSettings.model_validate(options), 1, folder, teacher)
    summary: dict[str, Any] = json.loads((folder / "mining.json").read_text())
    return summary


def _reasons(folder: Path) -> dict[str, str]:
    return {row["doc_id"]: row["reason"] for row in read_ledger(folder / "ledger.parquet")}


def test_the_grade_of_the_positive_is_kept(tmp_path: Path) -> None:
    _mine(tmp_path)
    assert read_groups(tmp_path)[0].labels[0] == 3


@pytest.mark.parametrize(
    ("options", "above"),
    [
        ({"margin": 0.0}, {"d0"}),  # the positive scores 9: only what scores more is left
        ({"margin": 1.5}, {"d0", "d2"}),  # at most 7.5
        ({"relative_margin": 0.25}, {"d0", "d2", "d3"}),  # at most 6.75
        ({"margin": 3.5, "relative_margin": 0.25}, {"d0", "d2", "d3", "d4"}),  # the stricter: 5.5
    ],
)
def test_margins(tmp_path: Path, options: dict[str, float], above: set[str]) -> None:
    _mine(tmp_path, **options)
    assert {d for d, reason in _reasons(tmp_path).items() if reason == "margin"} == above


def test_margins_say_nothing_of_a_positive_that_was_not_retrieved(tmp_path: Path) -> None:
    assert _mine(tmp_path, {"d7": 1}, margin=1.0)["candidates"]["margin"] == 0


def test_a_relative_margin_holds_below_zero_too(tmp_path: Path) -> None:
    collection = Collection("c", PASSAGES, {"q": "fruit"}, {"train": {"q": {"d0": 1}}})
    run = {"q": {"d0": -10.0, "d1": -10.5, "d2": -12.0}}
    mine(collection, run, MiningSettings(relative_margin=0.1), 1, tmp_path)
    assert _reasons(tmp_path) == {"d0": "judged_positive", "d1": "margin", "d2": "taken"}


def test_bands_give_their_share_and_are_not_filled_up(tmp_path: Path) -> None:
    bands = [
        {"first_rank": 1, "last_rank": 3, "share": 0.75},  # asked for 3, holds 2 beside the positive
        {"first_rank": 5, "last_rank": 6, "share": 0.25},
    ]
    summary = _mine(tmp_path, negatives=4, bands=bands)
    ranks = sorted(row["rank"] for row in read_ledger(tmp_path / "ledger.parquet") if row["taken_for"])
    assert ranks[:2] == [1, 3]
    assert len(ranks) == 3
    assert ranks[2] in (5, 6)
    assert summary["groups_with_fewer_negatives"] == 1


def test_quotas_lose_nothing() -> None:
    assert quotas(7, [0.5, 0.3, 0.2]) == [4, 2, 1]
    assert quotas(1, [0.2, 0.8]) == [0, 1]
    assert quotas(3, [0.1] * 10) == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_random_negatives_come_from_what_was_not_retrieved(tmp_path: Path) -> None:
    summary = _mine(tmp_path, negatives=4, random_negatives=0.5)
    group = read_groups(tmp_path)[0]
    assert summary["taken_from"] == {"first_stage": 2, "random": 2}
    assert set(group.doc_ids[3:]) == {"d6", "d7"}
    assert group.first_stage_scores[3:] == [None, None]


def test_a_document_is_used_at_most_so_often(tmp_path: Path) -> None:
    collection, run = random_case(5, queries=20, depth=40)
    mine(collection, run, MiningSettings(max_uses=2), 1, tmp_path)
    uses = Counter(doc_id for group in read_groups(tmp_path) for doc_id in group.doc_ids[1:])
    assert max(uses.values()) == 2
    assert "used_up" in _all_reasons(tmp_path)
    mine(collection, run, MiningSettings(), 1, tmp_path)
    uses = Counter(doc_id for group in read_groups(tmp_path) for doc_id in group.doc_ids[1:])
    assert max(uses.values()) > 2


def _all_reasons(folder: Path) -> set[str]:
    return {row["reason"] for row in read_ledger(folder / "ledger.parquet")}


def _teacher(pairs: Sequence[tuple[str, str]]) -> list[float]:
    logits = {"pear": 5.0, "plum": 4.0, "fig": 2.0, "lime": 0.0, "kiwi": -2.0, "date": -5.0}
    return [logits.get(passage.split()[0], -9.0) for _, passage in pairs]


def test_a_teacher_quarantines_and_drops_at_rocketqas_thresholds(tmp_path: Path) -> None:
    # Logistic: 5 -> .993, 2 -> .881, 0 -> .5, -2 -> .119, -5 -> .0067.
    summary = _mine(tmp_path, teacher="x")
    assert _reasons(tmp_path) == {
        "d0": "likely_positive",
        "d1": "judged_positive",
        "d2": "doubtful",
        "d3": "doubtful",
        "d4": "doubtful",
        "d5": "taken",
    }
    assert summary["candidates"]["doubtful"] == 3
    assert read_groups(tmp_path)[0].teacher_scores == [None, None]


def test_a_judgement_is_believed_before_the_teacher(tmp_path: Path) -> None:
    _mine(tmp_path, {"d1": 3, "d0": 0}, teacher="x")
    assert _reasons(tmp_path)["d0"] == "taken"


def test_the_teachers_logits_are_handed_on_when_asked_for(tmp_path: Path) -> None:
    _mine(tmp_path, teacher="x", distill_teacher=True)
    assert read_groups(tmp_path)[0].teacher_scores == [4.0, -5.0]


def test_thresholds_that_leave_nothing_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no group .*'doubtful': 4.*raise mine\.likely_negative"):
        _mine(tmp_path, teacher="x", likely_negative=0.001)


def test_ranks_that_leave_nothing_are_named(tmp_path: Path) -> None:
    """d0 is the only one within the ranks, and judged."""
    with pytest.raises(InputError, match=r"no group .*'outside_ranks': 5.*; raise mine\.last_rank"):
        _mine(tmp_path, {"d0": 1}, last_rank=1)


def test_two_reasons_that_leave_nothing_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"raise mine\.last_rank.*, or lower mine\.margin"):
        _mine(tmp_path, last_rank=3, margin=100.0)


def _review(path: Path, **verdicts: str) -> str:
    rows = [{"query_id": "q", "doc_id": d, "verdict": verdict} for d, verdict in verdicts.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_review_is_obeyed_before_teacher_and_margins(tmp_path: Path) -> None:
    review = _review(tmp_path / "r.jsonl", d0="not", d5="relevant", d4="unsure")
    _mine(tmp_path, teacher="x", review=review, margin=0.0)
    found = _reasons(tmp_path)
    assert (found["d0"], found["d5"], found["d4"]) == ("taken", "reviewed", "reviewed")


def test_the_last_answer_counts_and_a_cut_last_line_is_passed_over(tmp_path: Path) -> None:
    review = tmp_path / "r.jsonl"
    _review(review, d0="relevant")
    text = review.read_text()
    review.write_text(text + text.replace("relevant", "not") + '{"query_id": "q", "doc_id": "d5", "ver')
    _mine(tmp_path, review=str(review))
    assert _reasons(tmp_path)["d0"] == "taken"
    assert _reasons(tmp_path)["d5"] == "taken"


def test_answers_that_match_nothing_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    review = Path(_review(tmp_path / "r.jsonl", d0="relevant", d99="not"))
    review.write_text(review.read_text() + '{"query_id": "NOQUERY", "doc_id": "d1", "verdict": "not"}\n')
    _mine(tmp_path, review=str(review))
    told = capsys.readouterr().err
    assert "1 answers of a review are obeyed" in told
    assert "2 answers name no train query or no passage" in told
    assert "(the first: query 'q', document 'd99')" in told


def test_a_review_of_another_collection_is_refused(tmp_path: Path) -> None:
    review = _review(tmp_path / "r.jsonl", d99="not", d98="relevant")
    with pytest.raises(InputError, match=r"mine\.review: .*r\.jsonl: none of its 2 answers names .*'d99'"):
        _mine(tmp_path, review=review)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"r\.jsonl:2: '\{' is no answer"),
        ('{"query_id": "q"}', r"r\.jsonl:2: .* is no answer"),
        (
            '{"query_id": "q", "doc_id": "d0", "verdict": "yes"}',
            r"r\.jsonl:2: verdict is 'yes'; one of relevant",
        ),
    ],
)
def test_a_broken_line_of_a_review_is_named(tmp_path: Path, line: str, message: str) -> None:
    _review(tmp_path / "r.jsonl", d0="not")
    with (tmp_path / "r.jsonl").open("a") as handle:
        handle.write(line + "\n")
    with pytest.raises(InputError, match=message):
        _mine(tmp_path, review=str(tmp_path / "r.jsonl"))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_passages_of_another_split_are_left_where_asked(tmp_path: Path, share: float) -> None:
    qrels = {"train": {"q": {"d1": 1, "d2": 0}, "r": {"d3": 1}}, "dev": {"s": {"d0": 1, "d3": 1, "d4": 0}}}
    qrels["test"] = {"t": {"d2": 1, "d6": 1, "d7": 1}}
    collection = Collection("c", PASSAGES, {"q": "fruit", "r": "none"}, qrels)
    options = {"negatives": 5, "random_negatives": share}
    mine(collection, RUN, MiningSettings(**options), 1, tmp_path / "off")  # type: ignore[arg-type]
    assert "other_split" not in _reasons(tmp_path / "off").values()
    summary = mine(collection, RUN, MiningSettings(own_split=True, **options), 1, tmp_path / "on")  # type: ignore[arg-type]
    left = {d for d, reason in _reasons(tmp_path / "on").items() if reason == "other_split"}
    assert left >= {"d0", "d2"}, "d3 is relevant in train as well, d4 in no split"
    assert summary.candidates["other_split"] == summary.ledger["other_split"] >= len(left)
    negatives = {d for group in read_groups(tmp_path / "on") for d in group.doc_ids[1:]}
    assert negatives <= {"d1", "d3", "d4", "d5"}


def test_a_query_with_no_candidate_left_is_counted(tmp_path: Path) -> None:
    qrels = {"q": {"d1": 1}, "r": {"d2": 1}}
    collection = Collection("c", PASSAGES, {"q": "fruit", "r": "none"}, {"train": qrels})
    summary = mine(collection, {**RUN, "r": {"d2": 1.0}}, MiningSettings(), 1, tmp_path)
    assert summary.left_out["no_negative"] == 1
    assert [group.query_id for group in read_groups(tmp_path)] == ["q"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": [{"first_rank": 1, "last_rank": 60, "share": 1.0}]}, "leaves the ranks 1 to 50"),
        (
            {
                "bands": [
                    {"first_rank": 1, "last_rank": 9, "share": 0.5},
                    {"first_rank": 9, "last_rank": 20, "share": 0.5},
                ]
            },
            "band 9 to 20 overlaps",
        ),
        ({"bands": [{"first_rank": 1, "last_rank": 9, "share": 0.5}]}, r"sum to 0\.5, not to 1"),
        ({"likely_negative": 0.95}, "likely_negative = 0.95 is above"),
        ({"distill_teacher": True}, "distill_teacher needs a teacher"),
    ],
)
def test_settings_that_do_not_fit_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MiningSettings.model_validate(options)
