"""Several first stages and the model of round 1, by examples whose answers are worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from crosstune.data import MiningSettings, MiningSummary, mine, read_groups, read_ledger
from crosstune.errors import InputError
from crosstune.records import Collection, Run

FRUITS = ("pear", "plum", "fig", "lime", "kiwi", "date", "nut", "pea", "oat", "rye")
PASSAGES = {f"d{n}": f"{fruit} {n * 7919}" for n, fruit in enumerate(FRUITS)}
RUN: Run = {"q": {f"d{n}": 10.0 - n for n in range(4)}}  # d0 is the positive
OTHER: Run = {"q": {"d0": 0.9, "d1": 0.8, "d5": 0.85, "d6": 0.4, "d7": 0.3}}
TREC = {"kind": "trec", "path": "other.trec"}


def _mine(folder: Path, share: float, more: dict[str, Any] | None = None, **options: Any) -> MiningSummary:
    further = [{"first_stage": TREC, "share": share, **(more or {})}]
    settings = MiningSettings.model_validate({"further": further, **options})
    collection = Collection("c", PASSAGES, {"q": "fruit"}, {"train": {"q": {"d0": 1}}})
    return mine(collection, RUN, settings, 1, folder, further={"trec": OTHER})


def _taken(folder: Path) -> dict[str, list[str]]:
    rows = read_ledger(folder / "ledger.parquet")
    return {row["doc_id"]: row["taken_from"] for row in rows if row["taken_from"]}


def _from(**taken: list[str]) -> dict[str, list[str]]:
    return {doc_id: [source] for source, doc_ids in taken.items() for doc_id in doc_ids}


def test_each_first_stage_gives_its_share_and_what_both_found_is_taken_once(tmp_path: Path) -> None:
    summary = _mine(tmp_path, 0.5, negatives=6)
    # Three of the first (d1, d2, d3), three of the other: of its four, d1 is already taken.
    assert summary.taken_from == {"first_stage": 3, "trec": 3, "random": 0}
    assert _taken(tmp_path) == _from(first_stage=["d1", "d2", "d3"], trec=["d5", "d6", "d7"])
    assert read_groups(tmp_path)[0].first_stage_scores[-3:] == [None] * 3


def test_a_quota_that_is_short_is_not_filled_by_the_other(tmp_path: Path) -> None:
    summary = _mine(tmp_path, 0.2, negatives=5)
    assert summary.taken_from == {"first_stage": 3, "trec": 1, "random": 0}  # 4 and 1 were asked for
    assert summary.groups_with_fewer_negatives == 1


def test_the_whole_share_can_go_to_the_other(tmp_path: Path) -> None:
    summary = _mine(tmp_path, 1.0, negatives=4)
    assert summary.taken_from == {"first_stage": 0, "trec": 4, "random": 0}
    assert set(_taken(tmp_path)) == {"d1", "d5", "d6", "d7"}


def test_a_margin_holds_in_the_first_stage_that_it_is_given_for(tmp_path: Path) -> None:
    _mine(tmp_path, 0.5, {"margin": 0.08}, negatives=6)  # at most .82 there: d5 is too close, d1 is not
    reasons = {row["doc_id"]: row["reason"] for row in read_ledger(tmp_path / "ledger.parquet")}
    assert reasons == {
        "d0": "judged_positive",
        "d5": "margin",
        **dict.fromkeys(("d1", "d2", "d3", "d6", "d7"), "taken"),
    }


def test_ranks_are_those_of_the_first_stage_that_draws(tmp_path: Path) -> None:
    _mine(tmp_path, 0.5, negatives=4, first_rank=3, last_rank=4)
    # Ranks 3 and 4 are d2 and d3 in the first, d1 and d6 in the other.
    assert _taken(tmp_path) == _from(first_stage=["d2", "d3"], trec=["d1", "d6"])


def test_random_negatives_come_from_what_none_found(tmp_path: Path) -> None:
    _mine(tmp_path, 0.5, negatives=4, random_negatives=0.5)
    drawn = {doc_id for doc_id, source in _taken(tmp_path).items() if source == ["random"]}
    assert drawn <= {"d4", "d8", "d9"}
    assert len(drawn) == 2


def _logits(pairs: Sequence[tuple[str, str]]) -> list[float]:
    known = {"plum": -3.0, "fig": 9.0, "lime": -2.5, "kiwi": -8.0, "date": -1.0}
    return [known[passage.split()[0]] for _, passage in pairs]


def test_round_2_takes_the_hardest_that_are_no_likely_positives(tmp_path: Path) -> None:
    collection = Collection("c", PASSAGES, {"q": "fruit"}, {"train": {"q": {"d0": 1}}})
    run = {"q": {f"d{n}": 10.0 - n for n in range(6)}}
    summary = mine(collection, run, MiningSettings(negatives=2), 1, tmp_path, model=_logits)
    reasons = {row["doc_id"]: row["reason"] for row in read_ledger(tmp_path / "ledger.parquet")}
    assert summary.round == 2
    # Logistic: 9 -> .9999, -1 -> .27, -2.5 -> .076, -3 -> .047.
    assert reasons == {
        "d0": "judged_positive",
        "d1": "taken",
        "d2": "likely_positive",
        "d3": "taken",
        "d4": "not_drawn",
        "d5": "doubtful",
    }
    scores = {row["doc_id"]: row["model_score"] for row in read_ledger(tmp_path / "ledger.parquet")}
    assert scores["d3"] == pytest.approx(0.0759, abs=1e-4)


def test_in_round_2_a_teacher_denoises_and_the_model_says_what_is_hard(tmp_path: Path) -> None:
    collection = Collection("c", PASSAGES, {"q": "fruit"}, {"train": {"q": {"d0": 1}}})
    run = {"q": {f"d{n}": 10.0 - n for n in range(6)}}
    settings = MiningSettings(negatives=2, teacher="x", distill_teacher=True)

    def teacher(pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [-4.0 if passage.split()[0] != "plum" else 4.0 for _, passage in pairs]

    mine(collection, run, settings, 1, tmp_path, teacher, model=_logits)
    group = read_groups(tmp_path)[0]
    assert group.doc_ids == ["d0", "d2", "d5"]  # logits 9 and -1
    assert group.teacher_scores == [-4.0, -4.0, -4.0]


def test_a_model_that_leaves_nothing_is_named(tmp_path: Path) -> None:
    collection = Collection("c", PASSAGES, {"q": "fruit"}, {"train": {"q": {"d0": 1}}})
    with pytest.raises(InputError, match=r"'doubtful': 1.*raise mine\.likely_negative"):
        mine(collection, {"q": {"d0": 2.0, "d5": 1.0}}, MiningSettings(), 1, tmp_path, model=_logits)
