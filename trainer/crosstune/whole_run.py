"""What a whole run is refused for at its beginning, where the stage that cannot do it would be hours away."""

from __future__ import annotations

import math

from crosstune.errors import InputError
from crosstune.evaluate.measures import check_measures
from crosstune.files import read_json
from crosstune.qrels_files import split_file
from crosstune.recipe import Recipe
from crosstune.records import Split
from crosstune.run import RunFolder

USES: dict[Split, str] = {
    "train": "groups are mined from it",
    "dev": "it chooses the checkpoint and decides on fusion and export",
    "test": "it is what the result is measured on",
}


def refuse_at_once(recipe: Recipe, folder: RunFolder) -> None:
    """Looks at the collection of the run, which is there, and at the base's configuration.

    Raises `InputError` for a split that is missing or has no positive, for a base without padding or with
    fewer rows than its tokenizer has tokens, for more tokens than the base has positions, for a measure that
    no installed package computes, and for too few train queries for the learning curve that is asked for.
    """
    positives: dict[str, int] = read_json(folder.source)["positives"]
    for split, use in USES.items():
        _check_split(split, use, positives, folder)
    _check_base(recipe)
    check_measures(recipe.evaluate.measures)
    if recipe.curve:
        from crosstune.curve.run import check_queries

        most = math.ceil(recipe.mine.query_share * positives["train"])
        check_queries(min(most, recipe.mine.max_groups or most))


def _check_split(split: Split, use: str, positives: dict[str, int], folder: RunFolder) -> None:
    if split not in positives:
        raise InputError(
            f"the collection has no {split} split (qrels/{split}.tsv); {use}; crosstune convert IN OUT draws "
            "what is missing, and collection=beir:OUT takes it"
        )
    if not positives[split]:
        name = split_file(folder.collection_folder() / "qrels", split).name
        raise InputError(
            f"qrels/{name} of the collection holds no grade above 0, so that no passage is relevant; "
            f"{use}. Grades of 1 or more say relevant, 0 not"
        )


def _check_base(recipe: Recipe) -> None:
    from crosstune.models import resolve_model
    from crosstune.train.model import check_positions, positions_of, read_config
    from crosstune.train.vocabulary import check_vocabulary

    base = resolve_model(recipe.model)
    check_vocabulary(base, read_config(base))
    positions = positions_of(base)
    check_positions(base, positions, "train.max_tokens", recipe.train.max_tokens)
    if recipe.adapt.steps:
        check_positions(base, positions, "adapt.max_tokens", recipe.adapt.max_tokens)
