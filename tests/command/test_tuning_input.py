"""What `train` is told about the weights that it trains: bad settings, each with what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Crosstune

from crosstune.errors import InputError
from crosstune.recipe import Recipe, load_recipe

WRONG = [
    ("train.lora.rank=0", r"train\.lora\.rank: found 0 .*greater than or equal to 1"),
    ("train.lora.rank=2.5", r"train\.lora\.rank: found 2\.5 .*integer"),
    ("train.lora.alpha=16", r"train\.lora: .*alpha is given without train\.lora\.rank"),
    ("train.lora.dropout=1", r"train\.lora\.dropout: found 1 .*less than 1"),
    ("train.lora.targets=[]", r"train\.lora\.targets: found \[\] .*at least 1"),
    ("train.lora.learning_rate=.inf", r"train\.lora\.learning_rate: found inf"),
    ("train.lora.r=8", r"train\.lora\.r: unknown key.* Allowed here: rank, alpha"),
    ("train.lora=8", r"train\.lora: found 8 "),
    ("train.layers=0", r"train\.layers: found 0 .*how many layers to keep \(1 or more\)"),
    ("train.layers=[2, 1]", r"train\.layers: found \[2, 1\] .*rising order"),
    ("train.layers=[1, 1]", r"train\.layers: found \[1, 1\] "),
    ("train.layers=[-1, 1]", r"train\.layers: found \[-1, 1\] "),
    ("train.layers=[]", r"train\.layers: found \[\] "),
    ("train.layers=half", r"train\.layers: found 'half' \(str\)"),
    ("train.freeze_layers=-1", r"train\.freeze_layers: found -1 .*greater than or equal to 0"),
    ("train.layer_decay=0", r"train\.layer_decay: found 0 .*greater than 0"),
    ("train.layer_decay=1.1", r"train\.layer_decay: found 1\.1 .*less than or equal to 1"),
    ("train.gradient_checkpointing=1", r"train\.gradient_checkpointing: found 1 .*boolean"),
    ("train.report_to=[tb]", r"train\.report_to\.0: found 'tb' .*'wandb', 'tensorboard' or 'mlflow'"),
    ("train.report_to=wandb", r"train\.report_to: found 'wandb' .*list"),
    ("export.most_loss=1", r"export\.most_loss: found 1 .*less than 1"),
]  # fmt: skip


@pytest.mark.parametrize(("override", "message"), WRONG)
def test_a_wrong_setting_is_told_with_what_was_expected(override: str, message: str) -> None:
    with pytest.raises(InputError, match=r"(?s)1 error in the recipe:\n  - " + message):
        load_recipe("quickstart", [override])


@pytest.mark.parametrize(
    "override",
    [
        "train.lora.rank=8",
        "train.layers=3",
        "train.layers=[0, 5]",
        "train.freeze_layers=0",
        "train.report_to=[wandb, mlflow]",
    ],
)
def test_a_recipe_with_it_is_read_back_from_the_run_folder(override: str, tmp_path: Path) -> None:
    from crosstune.recipe import dump_recipe

    recipe = load_recipe("quickstart", [override])
    assert isinstance(recipe, Recipe)
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(str(tmp_path / "recipe.yaml")) == recipe
    assert recipe != load_recipe("quickstart")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.layers=3", "train.layers is 3, and the base has 2 layers; 2 or less was expected"),
        ("train.layers=[0, 2]", "train.layers names layer 2, and the base has 2 layers, 0 to 1"),
    ],
)
def test_layers_that_the_base_does_not_have(
    override: str, message: str, recipe: Path, crosstune: Crosstune
) -> None:
    done = crosstune("run", recipe, override)
    assert done.code == 2
    assert message in done.err
    assert not (recipe.parent / "runs" / "tiny" / "train").exists()
