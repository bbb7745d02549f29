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
    from crosstune.data.mining.judge import Scorers


def mine_stage(
    recipe: Recipe, collection: Collection, folder: RunFolder, out: Path, model: Path | None
) -> None:
    """Mines into `out`. `model`: what round 1 trained, in round 2."""
    from crosstune.data import mine
    from crosstune.data.first_stages.protocol import needs_extra
    from crosstune.data.mining.mine import mine_spread
    from crosstune.data.settings import RERANKED

    settings = recipe.mine
    if recipe.engine == "ray":
        with needs_extra("engine: ray", "ray"):
            from crosstune.preparation_on_ray import ray_mining
        with ray_mining(recipe, folder, model) as spread:
            mine_spread(collection, settings, recipe.seed, out, spread, 1 if model is None else 2)
        return
    runs = {source: read_candidates(path) for source, path in candidate_paths(recipe, folder).items()}
    with ExitStack() as stack:
        models = scorers(stack, recipe, model, folder.cache)
        run = runs.pop(RERANKED)
        teacher = models.teacher
        mine(collection, run, settings, recipe.seed, out, teacher, further=runs, model=models.model)


def scorers(stack: ExitStack, recipe: Recipe, model: Path | None, cache: Path) -> Scorers:
    """The models that mining asks, open as long as `stack`."""
    from crosstune.data.mining.judge import Scorers
    from crosstune.train.mining_teacher import mining_teacher

    def scorer(spec: str | None) -> Teacher | None:
        if spec is None:
            return None
        return stack.enter_context(mining_teacher(spec, recipe.train.length_rule, recipe.seed, cache))

    return Scorers(scorer(recipe.mine.teacher), scorer(str(model) if model is not None else None))


def candidate_paths(recipe: Recipe, folder: RunFolder) -> dict[str, Path]:
    """The train runs that negatives are drawn from, by first stage, the reranked one first."""
    from crosstune.data.settings import RERANKED

    further = [single.label for single in recipe.mine.further]
    return {RERANKED: folder.candidates("train")} | {
        name: folder.candidates("train", name) for name in further
    }


def read_candidates(path: Path) -> StoredRun | dict[str, dict[str, float]]:
    return StoredRun(path) if path.is_file() else {}
