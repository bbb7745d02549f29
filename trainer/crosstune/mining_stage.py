"""The mine stage of a recipe, in either of its rounds."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.recipe import Recipe
from crosstune.records import Collection
from crosstune.run import RunFolder
from crosstune.stored_run import StoredRun

if TYPE_CHECKING:
    from crosstune.data import Teacher


def mine_stage(
    recipe: Recipe, collection: Collection, folder: RunFolder, out: Path, model: Path | None
) -> None:
    """Mines into `out`. `model`: what round 1 trained, in round 2."""
    from crosstune.data import mine
    from crosstune.train.mining_teacher import mining_teacher

    settings = recipe.mine
    rule = recipe.train.length_rule
    with ExitStack() as stack:

        def scorer(spec: str | None) -> Teacher | None:
            if spec is None:
                return None
            return stack.enter_context(mining_teacher(spec, rule, recipe.seed, folder.cache))

        mine(
            collection,
            _candidates(folder.candidates("train")),
            settings,
            recipe.seed,
            out,
            scorer(settings.teacher),
            further={
                single.label: _candidates(folder.candidates("train", single.label))
                for single in settings.further
            },
            model=scorer(str(model) if model is not None else None),
        )


def _candidates(path: Path) -> StoredRun | dict[str, dict[str, float]]:
    return StoredRun(path) if path.is_file() else {}
