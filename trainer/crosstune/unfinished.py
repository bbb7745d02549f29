"""The checkpoints of an interrupted training, which another training must not overwrite unasked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crosstune.errors import InputError
from crosstune.recipe import AnyRecipe, load_recipe
from crosstune.run import RunFolder, Stage, is_begun


def refuse_to_overwrite(folder: RunFolder, stage: Stage, recipe: AnyRecipe) -> None:
    """Raises `InputError` where whole checkpoints of a training of another fingerprint than `stage`'s lie in
    `folder`. `folder.recipe` still is the recipe that it began with."""
    steps = [int(path.parent.name.split("-")[1]) for path in folder.marked_checkpoints(stage.name)]
    if not steps or is_begun(folder, stage):
        return
    changed = _changed(folder, recipe)
    what = f"other settings ({', '.join(changed)})" if changed else "other data or another crosstune"
    raise InputError(
        f"{folder.partial(stage.name)}: holds a training with {what} up to step {max(steps)}. Nothing was "
        f"overwritten. To go on with it, give what it began with ({folder.recipe}); to begin anew, delete "
        f"the folder or give crosstune run --force {stage.name}; to keep both, give another run_dir=PATH"
    )


def _changed(folder: RunFolder, recipe: AnyRecipe) -> list[str]:
    """`key: before -> now` of the settings that differ."""
    try:
        earlier = dict(_settings(load_recipe(str(folder.recipe)).model_dump()))
    except InputError:  # a recipe of another crosstune
        return []
    now = dict(_settings(recipe.model_dump()))
    keys = [key for key in {**earlier, **now} if earlier.get(key) != now.get(key)]
    return [f"{key}: {earlier.get(key)} -> {now.get(key)}" for key in keys]


def _settings(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
