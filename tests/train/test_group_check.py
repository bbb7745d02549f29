"""What a loss can learn from: groups that do not fit are refused with the first of them, or counted."""

from __future__ import annotations

import dataclasses
import random
import re
from pathlib import Path

import pytest

from crosstune.errors import InputError
from crosstune.records import Collection, Group
from crosstune.train import TrainSettings, train
from crosstune.train.group_check import check_labels, check_targets
from crosstune.train.loss_kinds import KINDS, LossName
from models import WORDS, tiny_cross_encoder


def _group(number: int, labels: list[int], scores: list[float | None] | None = None) -> Group:
    rng = random.Random(number)
    docs = [" ".join(rng.choices(WORDS, k=4)) for _ in labels]
    ids = [f"{number}-{place}" for place in range(len(labels))]
    none: list[float | None] = [None] * len(labels)
    return Group(f"q{number}", rng.choice(WORDS), ids, docs, labels, none, scores or none)


ODD = [
    _group(0, [2, 1, 0], [1.0, 0.5, 0.0]),
    _group(1, [1, 0], [2.0, 1.0]),
    _group(2, [1], [3.0]),
    _group(3, [0, 0, 0, 0], [1.0, 1.0, 1.0, 1.0]),
    _group(4, [1, 1, 1], [1.0, 2.0, 3.0]),
    _group(5, [0, -1], [1.0, 2.0]),
]
IDLE = {
    "a document": 0,
    "two documents": 1,
    "a relevant document": 3,
    "two grades": 3,
    "two gains": 4,
    "two scores": 2,
}
"""Of the odd groups, how many lack it."""


@pytest.mark.parametrize("loss", KINDS)
def test_groups_without_anything_to_learn_are_counted(
    loss: LossName, capsys: pytest.CaptureFixture[str]
) -> None:
    check_targets(ODD, loss)
    idle, said = IDLE[KINDS[loss].needs], capsys.readouterr().err
    assert (f"{idle} of 6 groups teach train.loss = {loss} nothing" in said) == bool(idle)


@pytest.mark.parametrize(
    ("loss", "labels", "missing"),
    [
        ("lce", [[1], [1]], "a relevant document among others"),
        ("lce", [[0, 0], [0, -1]], "a relevant document among others"),
        ("ranknet", [[2, 2], [1, 1, 1]], "two different grades"),
        ("margin", [[0, 0], [0]], "two different grades"),
        ("lambda", [[0, -1], [0, 0]], "a grade above 0 beside a lower one"),
        ("approx_ndcg", [[1, 1], [2]], "a grade above 0 beside a lower one"),
        ("listnet", [[1], [3]], "two documents"),
        ("plistmle", [[1], [0]], "two documents"),
    ],
)
def test_groups_that_teach_nothing_at_all_are_refused(
    loss: LossName, labels: list[list[int]], missing: str
) -> None:
    groups = [_group(number, row) for number, row in enumerate(labels)]
    expected = (
        f"train.loss = {loss} needs {missing} in a group, and none of the 2 groups has that .*'q0' with"
    )
    with pytest.raises(InputError, match=expected):
        check_targets(groups, loss)


@pytest.mark.parametrize("loss", KINDS)
@pytest.mark.parametrize("scores", [[None, None], [1.0, None]])
def test_a_missing_score_of_a_teacher_is_refused_or_told(
    loss: LossName, scores: list[float | None], capsys: pytest.CaptureFixture[str]
) -> None:
    groups = [_group(0, [1, 0], [2.0, 1.0]), _group(1, [1, 0], scores)]
    lack = "1 of 2 groups lack them (the first is query 'q1')"
    if KINDS[loss].learns_from == "teacher":
        with pytest.raises(InputError, match=re.escape(lack)):
            check_targets(groups, loss)
    else:
        check_targets(groups, loss)
        assert f"{lack}: these learn from their labels alone" in capsys.readouterr().err
        check_targets([_group(0, [1, 0]), _group(1, [1, 0])], loss)
        assert "lack" not in capsys.readouterr().err, "without a teacher none are missed"


@pytest.mark.parametrize("loss", ["lce", "bce", "kl"])
@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([1.0], "'q1' has 1 teacher_scores for 2 documents"),
        ([1.0, None, 2.0], "'q1' has 3 teacher_scores for 2 documents"),
        ([1.0, float("nan")], "'q1' has the teacher score nan for document '1-1'"),
        ([float("-inf"), None], "'q1' has the teacher score -inf for document '1-0'"),
    ],
)
def test_scores_that_are_none_of_these_documents_or_no_numbers_are_refused(
    loss: LossName, scores: list[float | None], words: str, tmp_path: Path
) -> None:
    """Before anything is loaded: there is no model."""
    groups = [_group(0, [1, 0], [2.0, 1.0]), _group(1, [1, 0], scores)]
    with pytest.raises(InputError, match=words):
        check_targets(groups, loss)
    settings = TrainSettings.model_validate({"loss": loss})
    with pytest.raises(InputError, match=words):
        train(groups, Collection("c", {}, {}, {}), {}, "no model", settings, 5, tmp_path)


@pytest.mark.parametrize("loss", KINDS)
def test_two_grades_in_a_group_need_a_loss_of_grades_or_a_teacher(loss: LossName) -> None:
    if KINDS[loss].learns_from == "relevance":
        with pytest.raises(
            InputError, match=r"takes labels 0 and 1, .* query 'q0' holds the grades \[2, 1, 0\]"
        ):
            check_labels(ODD, loss)
    else:
        check_labels(ODD, loss)
    check_labels([_group(0, [3, 0, 0]), _group(1, [1, 1, -1])], loss)


@pytest.mark.parametrize(
    "loss", ["mse", "margin", "lambda", "listnet", "plistmle", "approx_ndcg", "margin_mse"]
)
def test_odd_groups_train_to_the_end(loss: str, tmp_path: Path) -> None:
    """Unequal sizes, one document, no positive and equal grades, one group a step."""
    dev = [_group(9, [1, 0, 0])]
    collection = Collection(
        name="odd",
        passages={d: text for g in dev for d, text in zip(g.doc_ids, g.docs, strict=True)},
        queries={g.query_id: g.query for g in dev},
        qrels={"dev": {"q9": {"9-0": 1}}},
    )
    settings = TrainSettings.model_validate(
        {
            "loss": loss,
            "teacher": "none",
            "precision": "fp32",
            "max_tokens": 32,
            "max_query_tokens": 12,
            "groups_per_step": 1,
            "epochs": 1,
            "evaluations": 1,
        }
    )
    taught = KINDS[loss].learns_from == "teacher"  # type: ignore[index]
    groups = ODD if taught else [dataclasses.replace(g, teacher_scores=[None] * len(g.docs)) for g in ODD]
    run = {"q9": {"9-0": 1.0, "9-1": 2.0, "9-2": 3.0}}
    summary = train(
        groups, collection, run, str(tiny_cross_encoder(tmp_path / "base")), settings, 5, tmp_path
    )
    assert (summary.steps, summary.pairs) == (6, 15)
