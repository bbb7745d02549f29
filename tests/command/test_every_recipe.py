"""Every shipped recipe from its collection to its figures, on small data and with tiny random models. What
the export makes of a model is the same for all of them, and tested elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import write_collection

from car_data import write_treccar
from crosstune.cli import main
from crosstune.data import build_mini_msmarco
from crosstune.recipe import RECIPE_FOLDERS
from families import tiny_base
from models import tiny_cross_encoder

SHIPPED = sorted(
    path.relative_to(folder).with_suffix("").as_posix()
    for folder in RECIPE_FOLDERS
    for path in folder.rglob("*.yaml")
)
FAMILY = {
    "modern/minilm_margin_mse": "minilm",
    "modern/monoelectra_lce": "electra",
    "modern/modernbert": "modernbert",
    "modern/bge_style": "xlm-roberta",
}
"""The base's own; BERT for the others."""
COLLECTION = [
    *("mine.max_groups=8", "mine.negatives=3", "train.groups_per_step=4", "train.accumulate=1"),
    *("train.epochs=1", "train.evaluations=1", "train.precision=fp32", "evaluate.resamples=100"),
    *("train.max_tokens=48", "train.max_query_tokens=16", "train.dev_queries=4", "train.verdict_queries=8"),
]
PROCEDURE = [
    *("train.max_tokens=48", "train.max_query_tokens=16", "train.batch_pairs=8", "train.accumulate=1"),
    *("train.steps=3", "train.warmup_steps=1", "train.precision=fp32", "evaluate.resamples=100"),
]


def _overrides(name: str, folder: Path) -> list[str]:
    """What makes a recipe small: its data, its models, its steps; the rest is the recipe's own."""
    text = next(
        root / f"{name}.yaml" for root in RECIPE_FOLDERS if (root / f"{name}.yaml").is_file()
    ).read_text()
    base = tiny_base(folder / "base", FAMILY.get(name, "bert"))
    if "nogueira_cho_treccar" in text:
        write_treccar(folder / "car")
        return [*PROCEDURE, f"model={base}", f"data.folder={folder / 'car'}"]
    beir = write_collection(folder / "beir")
    if "nogueira_cho_msmarco" in text:
        build_mini_msmarco(folder / "ms", depth=20, dev_queries=8, negatives=3, source=beir)
        return [*PROCEDURE, f"model={base}", f"data.folder={folder / 'ms'}", "data.qrels=qrels.dev.tsv"]
    teacher = tiny_cross_encoder(folder / "teacher")
    taught = [f"mine.teacher={teacher}"] if re.search("\n  teacher: (hub:|runs/)", text) else []
    if name in ("half_depth", "modern/rocketqav2_denoised"):  # a random teacher is sure of nothing
        taught.append("mine.likely_negative=0.9")
    if name == "half_depth":
        taught.append("train.layers=1")
    start = teacher if name in ("half_depth", "modern/rank_distillm") else base
    return [*COLLECTION, *taught, f"model={start}", f"collection=beir:{beir}"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_a_recipe_runs_to_its_figures(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    overrides = _overrides(name, tmp_path)
    is_procedure = any(word.startswith("data.folder") for word in overrides)
    for stage in ("train", "evaluate") if is_procedure else ("retrieve", "mine", "train", "evaluate"):
        with pytest.raises(SystemExit) as ended:
            main([stage, name, *overrides, "run_dir=out"])
        assert not ended.value.code, capsys.readouterr().err
    metrics = json.loads((tmp_path / "out/evaluate/metrics.json").read_text())
    assert all("tuned" in systems for systems in metrics["splits"].values())
