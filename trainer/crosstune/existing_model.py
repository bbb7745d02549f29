"""The export of a cross-encoder that was not trained here: `crosstune export MODEL --out EXPORT`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from crosstune.errors import InputError
from crosstune.export_inputs import dev_calibration, format_sample
from crosstune.files import read_json, write_json
from crosstune.models import has_ranking_head, resolve_model
from crosstune.progress import say
from crosstune.recipe import Recipe, recipe_of_model
from crosstune.run import RunFolder, is_done, locked, run_stage, split_run_dir
from crosstune.stages import Pipeline
from crosstune.trec import read_run

if TYPE_CHECKING:
    from crosstune.export import Calibration
    from crosstune.serve.pairs import LengthRule

NEEDED = ("collection", "retrieve")
LONGEST = 512
"""Tokens of a pair where neither the user nor the model says less: what scoring costs grows with them."""


def export_existing(model: str, out: Path, overrides: Sequence[str]) -> None:
    """Writes the export of `model` to `out`, compared on the candidates of the collection that the overrides
    name (`stdlib` without), which are retrieved into the run folder first.

    A head with two labels becomes one exactly. Calibrated where a collection is named. An earlier export at
    `out` is replaced. Raises `InputError` for a model without a ranking head or with more than two labels and
    for an `out` that holds anything else, the model or the run folder among it, and `CheckFailed` as any
    export.
    """
    from crosstune.data import beir_digest
    from crosstune.export import export_model, export_target, refuse_overlap, render_card_of_model
    from crosstune.train.model import load_cross_encoder

    target = export_target(out)
    run_dir, words = split_run_dir(overrides)
    recipe = recipe_of_model(model, target.name, words)
    folder = RunFolder(run_dir or Path("runs") / recipe.name)
    if folder.root.resolve().is_relative_to(target):
        raise InputError(
            f"{out}: is or holds the run folder {folder.root}, where the collection and its candidates go; "
            "give run_dir=PATH or another --out"
        )
    source = resolve_model(recipe.model)
    refuse_overlap(target, source, "the model itself")
    if not has_ranking_head(source):
        raise InputError(f"{recipe.model}: has no ranking head; crosstune run trains one")
    rule = _rule(source, recipe)
    pipeline = Pipeline(recipe, folder)
    with TemporaryDirectory(prefix="crosstune-") as scratch, locked(pipeline.folder):
        for stage in pipeline.stages():
            if stage.name not in NEEDED:
                continue
            if is_done(pipeline.folder, stage):
                say(f"{stage.name}: skipped, up to date")
            else:
                run_stage(pipeline.folder, stage)
        one_label = Path(scratch) / "model"
        load_cross_encoder(source, rule, recipe.seed).save_pretrained(one_label)
        _copy_tokenizer(source, one_label)
        export_model(
            one_label,
            rule,
            pipeline.sample_pairs(),
            recipe.export,
            {
                "base_model": recipe.model,
                "recipe": recipe.model_dump(),
                "data_fingerprint": beir_digest(pipeline.collection_folder()),
                "metrics": {},
            },
            target,
            pipeline.export_sample(),
            _calibration(pipeline, one_label, rule, named=any(w.startswith("collection=") for w in words)),
            render_card_of_model(recipe.model, rule, recipe.collection, _licence(source)),
        )


def _copy_tokenizer(source: Path, folder: Path) -> None:
    """The model's own files; a tokenizer without `tokenizer.json` is converted by transformers."""
    from transformers import AutoTokenizer

    from crosstune.train.saving import copy_tokenizer

    copy_tokenizer(source, folder)
    if not (folder / "tokenizer.json").is_file():
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
            tokenizer.save_pretrained(folder)
        except Exception as error:
            raise InputError(f"{source}: its tokenizer cannot be loaded ({error}); fetch it again") from None
    if not (folder / "tokenizer_config.json").is_file():
        write_json(folder / "tokenizer_config.json", {})


def _rule(source: Path, recipe: Recipe) -> LengthRule:
    """The recipe's lengths where it names them, else the model's own, with the recipe's windows."""
    from crosstune.train.model import positions_of

    settings = recipe.train
    given = settings.model_fields_set
    if "max_tokens" in given:
        longest = settings.max_tokens
    else:
        tokenizer = source / "tokenizer_config.json"
        own = read_json(tokenizer).get("model_max_length") if tokenizer.is_file() else None
        longest = min(LONGEST, int(own or LONGEST), positions_of(source) or LONGEST)
    query = settings.max_query_tokens if "max_query_tokens" in given else longest // 2
    say(f"  {longest} tokens a pair at most, {query} of them the query's")
    lengths = {"max_tokens": longest, "max_query_tokens": min(query, longest - 4)}
    return settings.model_copy(update=lengths).length_rule


def _calibration(pipeline: Pipeline, folder: Path, rule: LengthRule, *, named: bool) -> Calibration:
    """Of the model's logits on dev; none on a collection that is not the user's."""
    from crosstune.export import UNCALIBRATED
    from crosstune.serve.pairs import PairEncoder
    from crosstune.train import load_scorer
    from crosstune.train.scoring import score_run, top

    recipe, collection = pipeline.recipe, pipeline.collection()
    if not (named and recipe.export.calibrate) or "dev" not in collection.qrels:
        return UNCALIBRATED
    dev = read_run(pipeline.folder.candidates("dev"))
    sample = format_sample(collection, dev, (), recipe.train.dev_queries, recipe.seed)
    logits = score_run(
        load_scorer(folder, rule, recipe.seed),
        PairEncoder.from_folder(folder, rule),
        top(sample.candidates, recipe.train.dev_depth),
        collection.queries,
        collection.passages,
        "dev for the calibration, queries",
    ).run
    return dev_calibration(collection, logits, dev, None, recipe.export, recipe.seed)


def _licence(source: Path) -> str | None:
    """What the model's own card says."""
    from huggingface_hub import ModelCard

    card = source / "README.md"
    found = ModelCard.load(card, ignore_metadata_errors=True).data.get("license") if card.is_file() else None
    return found if isinstance(found, str) else None
