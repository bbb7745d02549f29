"""docs/tuning.md says what the settings and the recipe of half the layers are."""

from __future__ import annotations

import re
from pathlib import Path

from crosstune.recipe import Recipe, load_recipe
from crosstune.train import TrainSettings
from crosstune.train.lora import TOLERANCE
from crosstune.train.trackers.wandb import LAST_UPLOAD
from crosstune.train.tuning_config import ALPHA, RATE, LoraSettings, TuningSettings

TEXT = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")


def _first_cells(head: str) -> list[list[str]]:
    table = TEXT.split(head)[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_every_setting_stands_in_its_table() -> None:
    keys = {re.split(r"[=.]", word)[0] for row in _first_cells("| key | what") for word in _words(row[0])}
    assert keys == {*TuningSettings.model_fields, "report_to"} <= TrainSettings.model_fields.keys()
    lora = {_words(row[0])[0]: row[1] for row in _first_cells("| key of `train.lora:` |")}
    assert lora.keys() == LoraSettings.model_fields.keys()
    assert lora["alpha"] == f"{ALPHA:g} x `rank`"
    assert lora["learning_rate"] == f"{RATE:g} x `train.learning_rate`"
    assert f"more than {TOLERANCE:.0e}".replace("e-0", "e-") in TEXT
    assert f"`WANDB_FINISH_TIMEOUT` ({LAST_UPLOAD} s here)" in TEXT


def test_the_recipe_of_half_the_layers_is_what_its_table_says() -> None:
    recipe = load_recipe("half_depth", ["collection=stdlib"])
    assert isinstance(recipe, Recipe)
    rows = _first_cells("| what it sets | why |")
    said = dict(
        pair for row in rows for word in _words(row[0]) for pair in [word.split(": ")] if len(pair) == 2
    )
    assert said == {
        "train.layers": str(recipe.train.layers),
        "train.loss": recipe.train.loss,
        "train.epochs": f"{recipe.train.epochs:g}",
        "train.learning_rate": "1e-4",
        "export.most_loss": f"{recipe.export.most_loss:g}".removeprefix("0"),
    }
    assert recipe.train.learning_rate == 1e-4
    assert recipe.model == recipe.mine.teacher == "runs/domain/train/model"
    assert recipe.mine.distill_teacher


def _words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
