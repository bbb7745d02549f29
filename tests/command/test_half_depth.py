"""The recipe of half the layers, from a run that trained the whole model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Crosstune

from crosstune.files import read_json


@pytest.mark.slow
def test_a_student_of_fewer_layers_learns_from_the_trained_model(
    recipe: Path, collection: Path, crosstune: Crosstune
) -> None:
    whole = crosstune("run", recipe, "run_dir=whole")
    assert whole.code == 0, whole.err
    done = crosstune(
        *("run", "half_depth", f"collection=beir:{collection}", "run_dir=half", "--json"),
        *("model=whole/train/model", "mine.teacher=whole/train/model", "train.layers=1"),
        *("first_stage.depth=20", "mine.last_rank=20", "mine.negatives=3", "train.epochs=1"),
        *("train.max_tokens=48", "train.max_query_tokens=16", "train.precision=fp32"),
        "export.allow_worse=true",
    )
    assert done.code == 0, done.err
    assert "the base's layers 0 are kept, of 2" in done.err
    root = recipe.parent
    layers = [
        read_json(root / run / "export" / "config.json")["num_hidden_layers"] for run in ("whole", "half")
    ]
    assert layers == [2, 1]
    tuned = read_json(root / "whole" / "evaluate" / "metrics.json")["splits"]["test"]["tuned"]
    assert json.loads(done.out)["splits"]["test"]["base"] == pytest.approx(tuned), "what it is compared with"
    merged = crosstune(
        *("merge", "whole/train/model", "half", "--alpha", "0:1:.5", "--probe", f"beir:{collection}"),
        *("--out", "merged"),
    )
    assert merged.code == 0, merged.err
    assert read_json(root / "merged" / "model" / "config.json")["num_hidden_layers"] == 1
    compared = crosstune("compare", "whole", "half")
    assert compared.code == 0, compared.err
