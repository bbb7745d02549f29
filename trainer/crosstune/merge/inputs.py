"""What `crosstune merge` works on: the two ends, the dev queries of both domains, and where it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crosstune.data import Bm25Settings, Probe, ProbeSettings, open_probe, read_collection
from crosstune.errors import InputError
from crosstune.models import resolve_model
from crosstune.recipe import Recipe, load_collection_recipe
from crosstune.run import RunFolder
from crosstune.serve.manifest import read_manifest
from crosstune.serve.pairs import LengthRule
from crosstune.serve.seal import MANIFEST
from crosstune.train.config import TrainSettings
from crosstune.train.scoring import drawn_lists
from crosstune.trec import read_run


@dataclass(frozen=True)
class Request:
    """The words of the command line; `probe` and `collection` as a recipe names them."""

    base: str
    tuned: Path
    alphas: list[float]
    probe: str | None
    collection: str | None
    out: Path | None
    max_tokens: int | None
    max_query_tokens: int | None
    seed: int
    resamples: int


@dataclass(frozen=True)
class Inputs:
    """`base`, `tuned`: folders; `own`: whether `base`, with a head drawn by `seed` where it has none, is
    what the training of `tuned` began with; `layers`: those of `base` that this kept; `domain`, `probe`: dev
    queries; `recipe`, `run`: of a run."""

    base: Path
    tuned: Path
    own: bool
    layers: int | list[int] | None
    rule: LengthRule
    seed: int
    domain: Probe
    probe: Probe
    out: Path
    recipe: Recipe | None
    run: RunFolder | None


def open_inputs(request: Request) -> Inputs:
    """Raises `InputError` for whatever of it cannot be used."""
    if (request.tuned / ".stages").is_dir():
        return _of_run(request)
    return _of_folders(request)


def _of_run(request: Request) -> Inputs:
    folder = RunFolder(request.tuned)
    foreign = {
        "--collection": request.collection,
        "--max-tokens": request.max_tokens,
        "--max-query-tokens": request.max_query_tokens,
    }
    if given := [name for name, value in foreign.items() if value is not None]:
        raise InputError(f"{', '.join(given)}: the run {folder.root} has its own; leave it out")
    recipe = load_collection_recipe(str(folder.recipe))
    if not folder.model.is_dir() or not folder.candidates("dev").is_file():
        raise InputError(f"{folder.root}: its training has not ended; crosstune run RECIPE goes on with it")
    collection = read_collection(folder.collection_folder())
    train, qrels = recipe.train, collection.qrels["dev"]
    count = max(train.dev_queries, train.verdict_queries)
    dev = drawn_lists(qrels, read_run(folder.candidates("dev")), count, train.dev_depth, recipe.seed)
    judged = {query_id: qrels[query_id] for query_id in dev}
    probe = ProbeSettings(collection=request.probe) if request.probe is not None else recipe.probe
    base, own = _start(request.base, recipe, folder)
    return Inputs(
        base=base,
        tuned=folder.model,
        own=own,
        layers=train.layers if own and base != folder.start else None,
        rule=train.length_rule,
        seed=recipe.seed,
        domain=Probe(recipe.collection, "dev", judged, dev, collection.queries, collection.passages),
        probe=_probe(probe, recipe.seed),
        out=request.out or folder.root.with_name(f"{folder.root.name}-merged"),
        recipe=recipe,
        run=folder,
    )


def _start(spec: str, recipe: Recipe, folder: RunFolder) -> tuple[Path, bool]:
    """What `spec` names and whether the training began with it: for the recipe's own model, with what the
    training made of it."""
    base = resolve_model(spec)
    if recipe.tuned is not None or base.resolve() != resolve_model(recipe.model).resolve():
        return base, False
    if folder.start.is_dir():
        return folder.start, True
    return (folder.adapted if recipe.adapt.steps else base), True


def _of_folders(request: Request) -> Inputs:
    tuned = resolve_model(str(request.tuned))
    if request.collection is None or request.out is None:
        missing = "--collection beir:PATH" if request.collection is None else "--out FOLDER"
        raise InputError(f"{tuned} is a model and no run folder: give {missing} as well")
    return Inputs(
        base=resolve_model(request.base),
        tuned=tuned,
        own=False,
        layers=None,
        rule=_rule(request, tuned),
        seed=request.seed,
        domain=open_probe(_settings(request.collection), ("dev",), request.seed),
        probe=_probe(_settings(request.probe), request.seed),
        out=request.out,
        recipe=None,
        run=None,
    )


def _settings(spec: str | None) -> ProbeSettings:
    return ProbeSettings(collection=spec, first_stage=Bm25Settings(depth=50))


def _probe(settings: ProbeSettings, seed: int) -> Probe:
    if settings.collection is None:
        raise InputError(
            "there is no other domain to see forgetting on: give --probe beir:PATH (or probe in the recipe), "
            "a collection with a dev split"
        )
    return open_probe(settings, ("dev",), seed)


def _rule(request: Request, tuned: Path) -> LengthRule:
    """The lengths given, those of an export, or the usual ones."""
    if (tuned / MANIFEST).is_file() and request.max_tokens is None and request.max_query_tokens is None:
        return read_manifest(tuned).rule
    usual = TrainSettings()
    return LengthRule(
        request.max_tokens or usual.max_tokens, request.max_query_tokens or usual.max_query_tokens
    )
