"""What is learned where groups have a teacher's scores, and where some of them have none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from crosstune.records import Group
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import load_cross_encoder, train
from crosstune.train.loss_kinds import KINDS, LossName
from crosstune.train.losses import LOSSES, Lists
from crosstune.train.scoring import score_pairs
from models import tiny_cross_encoder
from training import dev_of, random_groups, tiny_settings

RULE = LengthRule(max_tokens=32, max_query_tokens=12)
SCORES: list[list[float | None]] = [
    [3.0, -1.0, 0.5, 0.0],
    [0.0, 1.0, 2.0, 3.0],
    [4.0, 0.0, 0.0, 1.0],
    [1.0, 2.0, -2.0, 0.0],
]


def _losses(
    folder: Path, groups: list[Group], loss: LossName, accumulate: int = 1
) -> tuple[list[float], list[Lists]]:
    """The losses logged at 4 steps, which are the initial model's since the rate is next to nothing and every
    step sees all groups; and each group with that model's logits."""
    base = tiny_cross_encoder(folder / "base")
    settings = tiny_settings(
        loss=loss, groups_per_step=4, epochs=4, evaluations=1, learning_rate=1e-12, accumulate=accumulate
    )
    train(groups, *dev_of(groups), str(base), settings, 5, folder)
    log = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    model, encoder = load_cross_encoder(base, RULE, 5), PairEncoder.from_folder(base, RULE)
    lists = []
    for group in groups:
        logits = score_pairs(model, encoder, [(group.query, doc) for doc in group.docs])
        teacher = [float("nan") if score is None else score for score in group.teacher_scores]
        rows = (torch.tensor([row], dtype=torch.float32) for row in (logits, group.labels, teacher))
        lists.append(Lists(*rows, torch.ones(1, len(logits), dtype=torch.bool)))
    return [row["loss"] for row in log if "loss" in row], lists


@pytest.mark.parametrize("loss", ["bce", "lambda", "kl", "margin_mse", "teacher_mse", "teacher_ranknet"])
def test_how_a_teacher_is_mixed_in(tmp_path: Path, loss: LossName) -> None:
    """The loss itself if it learns from a teacher, else `kl` before both in equal parts."""
    groups = [dataclasses.replace(g, teacher_scores=s) for g, s in zip(random_groups(4), SCORES, strict=True)]
    found, lists = _losses(tmp_path, groups, loss)
    own, distilled = (sum(LOSSES[name](group).item() for group in lists) / 4 for name in (loss, "kl"))
    taught = KINDS[loss].learns_from == "teacher"
    expected = [own] * 4 if taught else [distilled] * 2 + [(own + distilled) / 2] * 2
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("loss", "accumulate"), [("lce", 1), ("lce", 2), ("bce", 1), ("bce", 2)])
def test_a_group_without_scores_takes_the_teacher_from_no_other(
    tmp_path: Path, loss: LossName, accumulate: int
) -> None:
    """It learns from its labels alone, and weighs as it would if all did. The sizes are unequal: a mean over
    documents is no mean over groups."""
    groups = [
        dataclasses.replace(
            g, doc_ids=g.doc_ids[:size], docs=g.docs[:size], labels=g.labels[:size],
            first_stage_scores=[None] * size, teacher_scores=[None if lacks else s for s in scores[:size]],
        )
        for g, scores, size, lacks in zip(
            random_groups(4), SCORES, [4, 2, 3, 4], [False, True, False, False], strict=True
        )
    ]  # fmt: skip
    groups[3].teacher_scores[1] = None
    found, lists = _losses(tmp_path, groups, loss, accumulate)
    own, distilled = ([LOSSES[name](group).item() for group in lists] for name in (loss, "kl"))
    share = [size / 13 for size in (4, 2, 3, 4)] if loss == "bce" else [1 / 4] * 4
    of_labels = [value * part for value, part in zip(own, share, strict=True)]
    of_teacher = (distilled[0] + distilled[2]) / 4
    without = of_labels[1] + of_labels[3]
    first = of_teacher + without
    second = (of_teacher + of_labels[0] + of_labels[2]) / 2 + without
    assert found == pytest.approx([first] * 2 + [second] * 2, rel=1e-4)
