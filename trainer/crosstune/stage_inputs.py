"""Which stages a recipe has, and what each reads that no stage before it wrote: part of its fingerprint."""

from __future__ import annotations

from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import sha256_file
from crosstune.fingerprints import code_version, fingerprint
from crosstune.recipe import Recipe
from crosstune.records import Collection
from crosstune.run import STAGES, StageName


def stage_names(recipe: Recipe) -> list[StageName]:
    """In order: the first of two rounds before the last one; what is adapted once starts both trainings."""
    adapted: list[StageName] = ["adapt"] if recipe.adapt.steps else []
    rounds: list[StageName] = ["mine", *adapted, "train"]
    if recipe.mine.round == 2:
        rounds = ["mine_1", *adapted, "train_1", "mine", "train"]
    return [*STAGES[:2], *rounds, *STAGES[4:]]


def counted(collection: Collection) -> dict[str, object]:
    """What a run folder keeps of its collection: the counts of its reading, and how many queries of each
    split have a relevant passage."""
    positives = {
        split: sum(max(judged.values(), default=0) > 0 for judged in qrels.values())
        for split, qrels in collection.qrels.items()
    }
    return {"counts": collection.counts, "positives": positives}


def mining_inputs(recipe: Recipe) -> list[object]:
    """What mining reads beside the candidates: the answers of a review, and the models that score, with their
    length rule and code."""
    inputs: list[object] = []
    if recipe.mine.review is not None:
        answers = Path(recipe.mine.review).expanduser()
        if not answers.is_file():
            raise InputError(f"mine.review: {answers}: no such file; crosstune review writes one")
        inputs.append(sha256_file(answers))
    if recipe.mine.teacher is not None:
        from crosstune.train.mining_teacher import resolve_teacher

        resolve_teacher(recipe.mine.teacher)
        inputs.append(model_digest(recipe.mine.teacher))
    if recipe.mine.teacher is not None or recipe.mine.round > 1:
        inputs += [recipe.train.length_rule.as_json(), code_version(("train", "serve"))]
    return inputs


def first_stage_inputs(recipe: Recipe) -> list[object]:
    """What decides the candidates: files outside the recipe, and the first stages that mining alone asks."""
    from crosstune.data import input_digests

    further = [
        [single.label, single.first_stage.model_dump(), input_digests(single.first_stage)]
        for single in recipe.mine.further
    ]
    return [input_digests(recipe.first_stage), *further]


def dev_inputs(recipe: Recipe) -> list[object]:
    """What the base is scored on dev with."""
    train = recipe.train
    lists = [train.dev_queries, train.verdict_queries, train.dev_depth]
    return [*lists, train.length_rule.as_json(), recipe.seed, model_digest(recipe.model)]


def training_inputs(recipe: Recipe) -> list[object]:
    """What training reads beside the groups: the base, or the model that is taken in its place as well."""
    taken = [model_digest(recipe.tuned)] if recipe.tuned is not None else []
    return [recipe.seed, model_digest(recipe.model), *taken]


def model_digest(spec: str) -> str:
    """Of the bytes of a model's files."""
    from crosstune.train import resolve_model

    folder = resolve_model(spec)
    return fingerprint(*(sha256_file(path) for path in sorted(folder.glob("*.*")) if path.is_file()))
