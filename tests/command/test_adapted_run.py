"""`adapt.steps` through the command line: a stage before training, shared by what changes after it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import Crosstune
from safetensors.torch import load_file

ADAPT = ("adapt.steps=6", "adapt.max_tokens=32", "adapt.texts_per_step=8", "adapt.precision=fp32")


def _did(err: str) -> list[str]:
    return re.findall(r"^(\w+): done", err, flags=re.MULTILINE)


@pytest.mark.slow
def test_an_adapted_run(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    root = tmp_path / "runs/tiny"
    plan = crosstune("run", recipe, *ADAPT, "--dry-run")
    assert re.search(r"^mine +run\nadapt +run\ntrain +run$", plan.out, flags=re.MULTILINE)
    done = crosstune("run", recipe, *ADAPT)
    assert done.code == 0, done.err
    assert _did(done.err) == ["collection", "retrieve", "mine", "adapt", "train", "evaluate", "export"]
    before = load_file(tmp_path / "model/model.safetensors")
    adapted = load_file(root / "adapt/model/model.safetensors")
    assert not adapted["bert.encoder.layer.0.output.dense.weight"].equal(
        before["bert.encoder.layer.0.output.dense.weight"]
    )
    summary = json.loads((root / "adapt/adapt.json").read_text())
    dev = json.loads((root / "train/train.json").read_text())["dev"]
    assert dev["base"] == pytest.approx(summary["dev"]["before"]), "it is compared with the base as it was"

    other = crosstune("run", recipe, *ADAPT, "mine.negatives=2")
    assert "adapt: skipped, up to date" in other.err
    assert _did(other.err) == ["mine", "train", "evaluate", "export"]
    without = crosstune("train", recipe, "adapt.steps=0", "mine.negatives=2")
    assert _did(without.err) == ["train"]
    alone = crosstune("adapt", recipe)
    assert alone.code == 2 and "no such stage" in alone.err and "adapt.steps" in alone.err


@pytest.mark.slow
def test_a_search_over_the_adaptation(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    done = crosstune("sweep", recipe, "adapt.steps=0|4", *ADAPT[1:], "--trials", "2", "run_dir=search")
    assert done.code == 0, done.err
    trials = json.loads((tmp_path / "search/sweep.json").read_text())["trials"]
    assert {trial["state"] for trial in trials} == {"complete"}


def test_checkpoints_of_another_adaptation_are_said_and_kept(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    assert crosstune("retrieve", recipe, *ADAPT).code == 0
    mark = tmp_path / "runs/tiny/.adapt.partial/checkpoints/checkpoint-3/complete"
    mark.parent.mkdir(parents=True)
    mark.touch()
    for command in ("adapt", "run"):
        other = crosstune(command, recipe, *ADAPT, "adapt.steps=7")
        assert other.code == 2
        assert "other settings (adapt.steps: 6 -> 7) up to step 3" in other.err
        assert "give crosstune run --force adapt" in other.err
        assert mark.is_file()
