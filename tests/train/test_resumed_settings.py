"""A training that was interrupted ends as one that was not, whatever changes what a step is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from crosstune.train import train
from crosstune.train.loop import GroupTrainer
from models import tiny_cross_encoder
from resumed import assert_equal_trainings
from training import dev_of, headless_base, long_groups, positives_last, tiny_settings

WINDOWS = {"aggregate": "max", "overlap": 4, "most": 5}
ADAPTERS = {"rank": 2, "dropout": 0.1}
TUNED_HEAD: dict[str, Any] = {
    "loss": "lambda",
    "layers": 3,
    "freeze_layers": 1,
    "layer_decay": 0.8,
    "lora": ADAPTERS,
    "dropout": 0.1,
    "accumulate": 2,
    "gradient_checkpointing": True,
    "teacher": "none",
}
TUNED_START: dict[str, Any] = {"loss": "plistmle", "precision": "bf16", "lora": ADAPTERS}
FRESH_HEAD: dict[str, Any] = {
    "loss": "bce",
    "pos_weight": 3.0,
    "teacher": "base",
    "comparison": False,
    "dropout": 0.1,
}
LAST = 5
"""The step that does not end, of 12 with a checkpoint every 3."""


def _train(base: Path, out: Path, settings: dict[str, Any]) -> None:
    out.mkdir(exist_ok=True)
    groups = long_groups(12)
    collection, _ = dev_of(groups[:6])
    whole = tiny_settings(groups_per_step=4, epochs=4, evaluations=4, patience=4, windows=WINDOWS, **settings)
    train(groups, collection, positives_last(groups[:6]), str(base), whole, 5, out)


@pytest.mark.parametrize(
    ("headed", "settings"),
    [(True, TUNED_HEAD), (False, TUNED_START), (False, FRESH_HEAD)],
    ids=["a head, adapters, fewer layers", "a start, adapters, bf16", "a fresh head"],
)
def test_an_interrupted_training_ends_as_one_that_was_not(
    headed: bool,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the last part of the second step after a checkpoint."""
    folder = tmp_path / "base"
    base = tiny_cross_encoder(folder, num_hidden_layers=4) if headed else headless_base(folder)
    _train(base, tmp_path / "whole", settings)
    assert (tmp_path / "whole" / "start").is_dir() == (settings is TUNED_START)
    step, calls = GroupTrainer.training_step, 0

    def cut(self: GroupTrainer, *given: Any, **named: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == LAST * settings.get("accumulate", 1):
            raise KeyboardInterrupt
        return step(self, *given, **named)

    with monkeypatch.context() as at, pytest.raises(KeyboardInterrupt):
        at.setattr(GroupTrainer, "training_step", cut)
        _train(base, tmp_path / "cut", settings)
    capsys.readouterr()
    _train(base, tmp_path / "cut", settings)
    assert "continuing from checkpoint-3" in capsys.readouterr().err
    assert_equal_trainings(tmp_path / "cut", tmp_path / "whole")
