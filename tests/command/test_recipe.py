"""Recipes: every error in one answer, overrides, and every shipped recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from crosstune.errors import InputError
from crosstune.recipe import RECIPE_FOLDERS, Recipe, dump_recipe, find_recipe, load_recipe

SHIPPED = sorted(path for folder in RECIPE_FOLDERS for path in folder.rglob("*.yaml"))
MINIMAL = "name: t\ncollection: stdlib\nmodel: some/folder\n"


def _recipe(tmp_path: Path, text: str) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_loads_and_says_how_to_launch_it(path: Path) -> None:
    header = path.read_text(encoding="utf-8").splitlines()[:2]
    overrides = ["collection=beir:somewhere"] if "collection=" in header[0] else []
    recipe = load_recipe(str(path), overrides)
    assert recipe.name == path.stem
    assert "crosstune run" in header[0]
    assert "crosstune run" in header[1]
    assert "=" in header[1]


def test_there_are_recipes_to_check() -> None:
    assert {path.stem for path in SHIPPED} >= {
        "quickstart",
        "domain",
        "half_depth",
        "mini",
        "msmarco_base",
        "msmarco_large",
        "treccar_base",
        "treccar_large",
        "minilm_margin_mse",
        "monoelectra_lce",
        "rocketqav2_denoised",
        "rank_distillm",
        "modernbert",
        "bge_style",
    }


def test_unknown_key_wrong_type_and_range_are_reported_together(tmp_path: Path) -> None:
    text = MINIMAL + "train:\n  learning_rte: 1.0e-5\n  epochs: many\n  groups_per_step: 0\n"
    with pytest.raises(InputError) as caught:
        load_recipe(_recipe(tmp_path, text))
    message = str(caught.value)
    assert "3 errors" in message
    assert "train.learning_rte: unknown key; did you mean train.learning_rate?" in message
    assert "train.epochs: found 'many' (str)" in message
    assert "train.groups_per_step: found 0 (int)" in message


def test_what_was_given_on_the_command_line_is_not_looked_for_in_the_file(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, MINIMAL + "train:\n  epochs: many\n")
    words = ["train.groups_per_step=0", "first_stage={kind: postgres, sql: SELECT 'geheim'}"]
    with pytest.raises(InputError) as caught:
        load_recipe(recipe, words)
    lines = str(caught.value).splitlines()[1:]
    told = {line.split(":")[0].strip(" -"): line.rpartition(" (on the command line, ")[2] for line in lines}
    assert told["train.groups_per_step"] == "train.groups_per_step=...)"
    assert told["first_stage.sql"] == "first_stage=...)"
    assert told["train.epochs"].strip().startswith("- train.epochs"), "this one is in the file"


def test_settings_that_do_not_fit_together_are_named_without_the_others(tmp_path: Path) -> None:
    text = MINIMAL + "mine:\n  first_rank: 60\n  last_rank: 50\n"
    with pytest.raises(InputError) as caught:
        load_recipe(_recipe(tmp_path, text))
    message = str(caught.value).splitlines()[-1].strip()
    assert message.endswith("mine: first_rank = 60 is more than last_rank = 50")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="model: missing"):
        load_recipe(_recipe(tmp_path, "name: t\ncollection: stdlib\n"))


def test_overrides_reach_nested_keys_and_keep_their_types(tmp_path: Path) -> None:
    recipe = load_recipe(
        _recipe(tmp_path, MINIMAL), ["train.learning_rate=3e-5", "first_stage.tokens=words", "seed=7"]
    )
    assert recipe.train.learning_rate == 3e-5
    assert recipe.first_stage.tokens == "words"
    assert recipe.seed == 7


@pytest.mark.parametrize("override", ["train.epochs", "=3", "seed.more=3"])
def test_an_override_that_cannot_be_applied_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(InputError, match="override"):
        load_recipe(_recipe(tmp_path, MINIMAL + "seed: 3\n"), [override])


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"recipe\.yaml:4: not valid YAML"):
        load_recipe(_recipe(tmp_path, MINIMAL + "train: [1, 2\n"))


def test_a_recipe_that_is_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a mapping of keys was expected, found list"):
        load_recipe(_recipe(tmp_path, "- a\n- b\n"))


def test_an_unknown_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(
        InputError, match=r"domain, half_depth, modern/bge_style, .*nogueira_cho/mini, .*quickstart"
    ):
        find_recipe("no-such-recipe")


def test_a_shipped_recipe_is_found_by_name_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe("domain") == find_recipe("recipes/domain.yaml")


def test_the_dumped_recipe_reads_back_as_the_same(tmp_path: Path) -> None:
    recipe = load_recipe(_recipe(tmp_path, MINIMAL), ["train.learning_rate=1e-5"])
    values = YAML(typ="safe", pure=True).load(dump_recipe(recipe))
    assert Recipe.model_validate(values) == recipe


def test_a_query_that_leaves_no_room_for_the_passage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leaves no room for a passage"):
        load_recipe(_recipe(tmp_path, MINIMAL), ["train.max_query_tokens=125", "train.max_tokens=128"])
