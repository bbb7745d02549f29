"""Recipes: YAML, `key=value` overrides, and one answer with every error."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from crosstune.data import (
    Bm25Settings,
    FirstStageSettings,
    MiningSettings,
    MsMarcoFiles,
    ProbeSettings,
    TrecCarFiles,
)
from crosstune.errors import InputError
from crosstune.evaluate import EvaluationSettings, PublishedFigure
from crosstune.export import ExportSettings, TunedExportSettings
from crosstune.files import read_lines
from crosstune.settings import Settings, explain
from crosstune.train import AdaptSettings, PointwiseSettings, TrainSettings
from crosstune.train.loss_kinds import KINDS

RECIPE_FOLDERS = (Path(__file__).parent / "shipped_recipes", Path(__file__).parents[2] / "recipes")


class Recipe(Settings):
    """Everything that decides the outcome of a run."""

    name: str = Field(pattern=r"^[\w.-]+$", description="name of the run folder below runs/")
    seed: int = Field(13, ge=0, lt=2**32, description="of every draw")
    collection: str = Field(description="stdlib, beir:PATH, or KIND:PATH that crosstune convert reads")
    model: str = Field(description="package:NAME/FOLDER, hub:NAME, tf:CHECKPOINT or a folder")
    first_stage: FirstStageSettings = Field(Bm25Settings(), description="bm25 where no kind is given")
    mine: MiningSettings = MiningSettings()
    adapt: AdaptSettings = AdaptSettings()
    train: TrainSettings = TrainSettings()
    tuned: str | None = Field(
        None, description="a cross-encoder that is taken in place of training one, as crosstune merge writes"
    )
    probe: ProbeSettings = ProbeSettings()
    evaluate: EvaluationSettings = EvaluationSettings()
    export: TunedExportSettings = TunedExportSettings()
    engine: Literal["local", "ray"] = Field(
        "local",
        description="where is retrieved and mined: here, or on a Ray cluster; the outcome is the same",
    )
    workers: int | None = Field(
        None, ge=1, description="processes of engine ray, spread over the machines; one a machine when null"
    )
    curve: bool = Field(False, description="train on parts of the labels too: is labelling more worth it?")

    @model_validator(mode="after")
    def _trains(self) -> Recipe:
        idle = [key for key, wanted in (("adapt.steps", self.adapt.steps), ("curve", self.curve)) if wanted]
        if self.tuned is not None and idle:
            raise ValueError(
                f"tuned = {self.tuned!r} is taken as it is, and {idle[0]} is about a training; leave one out"
            )
        return self

    @model_validator(mode="after")
    def _spreads(self) -> Recipe:
        if self.engine == "local" and self.workers is not None:
            raise ValueError("workers belongs to engine: ray; leave it out, or set engine to ray")
        if self.engine == "ray" and self.mine.max_uses is not None:
            raise ValueError(
                f"mine.max_uses = {self.mine.max_uses} makes what a query gets depend on those before it, "
                "and with engine = ray several are mined at once; set engine to local, or leave "
                "mine.max_uses out"
            )
        return self

    @model_validator(mode="after")
    def _has_a_teacher(self) -> Recipe:
        taught = KINDS[self.train.loss].learns_from == "teacher"
        if taught and self.train.teacher == "none" and not self.mine.distill_teacher:
            raise ValueError(
                f"train.loss = {self.train.loss} learns from a teacher, and train.teacher = none; set "
                "train.teacher to base or adapted, or name a cross-encoder with mine.teacher and set "
                "mine.distill_teacher=true"
            )
        return self


class _ProcedureRecipe(Settings):
    """What every published procedure has."""

    name: str = Field(pattern=r"^[\w.-]+$", description="name of the run folder below runs/")
    seed: int = Field(13, ge=0, lt=2**32, description="of every draw")
    model: str = Field(description="package:NAME/FOLDER, hub:NAME, tf:CHECKPOINT or a folder; a BERT")
    train: PointwiseSettings = PointwiseSettings()
    evaluate: PublishedFigure = PublishedFigure()
    export: ExportSettings = ExportSettings()


class MsMarcoRecipe(_ProcedureRecipe):
    """Nogueira & Cho 2019 on MS MARCO passage ranking, or on files of its formats."""

    procedure: Literal["nogueira_cho_msmarco"]
    data: MsMarcoFiles


class TrecCarRecipe(_ProcedureRecipe):
    """Nogueira & Cho 2019 on TREC-CAR v2.0."""

    procedure: Literal["nogueira_cho_treccar"]
    data: TrecCarFiles


ProcedureRecipe = MsMarcoRecipe | TrecCarRecipe
AnyRecipe = Recipe | ProcedureRecipe
PROCEDURES: dict[str, type[ProcedureRecipe]] = {
    "nogueira_cho_msmarco": MsMarcoRecipe,
    "nogueira_cho_treccar": TrecCarRecipe,
}


def load_recipe(path: str, overrides: Sequence[str] = ()) -> AnyRecipe:
    """Reads a recipe by path or by the name of a shipped one, then applies `key=value` overrides.

    The key `procedure` makes it a published procedure's; without one it adapts a model to a collection.

    Raises `InputError` that lists every unknown key, wrong type and value out of range at once.
    """
    file = find_recipe(path)
    return _validated(file, _overridden(_parse_yaml(file), overrides), overrides)


def recipe_of_model(model: str, name: str, overrides: Sequence[str]) -> Recipe:
    """The recipe of a model that is there already, over the collection that the overrides name, or `stdlib`.
    Where they set `train.max_tokens` alone, the query has half. Raises `InputError` as `load_recipe`."""
    values = _overridden({"name": name, "model": model, "collection": "stdlib"}, overrides)
    train = values.get("train")
    if isinstance(train, dict) and "max_query_tokens" not in train and type(train.get("max_tokens")) is int:
        train["max_query_tokens"] = max(1, min(train["max_tokens"] // 2, train["max_tokens"] - 4))
    recipe = _validated(Path(name), values, overrides)
    if not isinstance(recipe, Recipe):
        raise InputError(f"{name}: procedure is no key of a model's export")
    return recipe


def _overridden(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    for override in overrides:
        _apply(values, override)
    return values


def _validated(file: Path, values: dict[str, Any], overrides: Sequence[str]) -> AnyRecipe:
    """`overrides`: those in `values`, to say what was given on the command line."""
    kind = _kind(file, values)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        explained = (explain(problem, kind) for problem in error.errors(include_url=False))
        problems = [problem + _given(problem, overrides) for problem in explained]
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise InputError(
            f"{file}: {len(problems)} error{'s' * (len(problems) > 1)} in the recipe:\n{lines}"
        ) from None


def _given(problem: str, overrides: Sequence[str]) -> str:
    """Where the key that `problem` begins with was given, when not in the file; its value may be secret."""
    path = problem.partition(":")[0]
    for override in reversed(overrides):
        key = override.partition("=")[0]
        if f"{path}.".startswith(f"{key}.") or key.startswith(f"{path}."):
            return f" (on the command line, {key}=...)"
    return ""


def is_procedure(file: Path) -> bool:
    """Whether a recipe is of a published procedure. Looks at that key alone: the recipe of a run of an older
    crosstune may have others."""
    return "procedure" in _parse_yaml(file)


def load_collection_recipe(path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Like `load_recipe`; raises `InputError` for the recipe of a published procedure."""
    recipe = load_recipe(path, overrides)
    if not isinstance(recipe, Recipe):
        raise InputError(f"{path}: reproduces a published procedure; a recipe with a collection was expected")
    return recipe


def find_recipe(path: str) -> Path:
    """The file itself, or the recipe of that name that comes with crosstune."""
    if Path(path).is_file():
        return Path(path)
    shipped = {
        file.relative_to(folder).with_suffix("").as_posix(): file
        for folder in RECIPE_FOLDERS
        for file in sorted(folder.rglob("*.yaml"))
    }
    name = path.removeprefix("recipes/").removesuffix(".yaml")
    if name in shipped:
        return shipped[name]
    raise InputError(f"{path}: no such recipe; give a YAML file or one of: {', '.join(sorted(shipped))}")


def dump_recipe(recipe: AnyRecipe) -> str:
    """The whole recipe with every default written out, as YAML that `load_recipe` reads back."""
    text = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(recipe.model_dump(), text)
    return text.getvalue()


def _kind(file: Path, values: dict[str, Any]) -> type[AnyRecipe]:
    procedure = values.get("procedure")
    if procedure is None:
        return Recipe
    if not isinstance(procedure, str) or procedure not in PROCEDURES:
        raise InputError(
            f"{file}: procedure: found {procedure!r}; one of {', '.join(PROCEDURES)} was expected"
        )
    return PROCEDURES[procedure]


def _parse_yaml(file: Path) -> dict[str, Any]:
    text = "\n".join(line for _, line in read_lines(file))
    try:
        values = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise InputError(
            f"{file}{where}: not valid YAML ({getattr(error, 'problem', None) or error})"
        ) from None
    if not isinstance(values, dict):
        raise InputError(f"{file}: a mapping of keys was expected, found {type(values).__name__}")
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"override {override!r}: key=value was expected, for example train.epochs=1")
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        value = text
    *parents, last = key.split(".")
    for parent in parents:
        child = values.setdefault(parent, {})
        if not isinstance(child, dict):
            raise InputError(f"override {override!r}: {parent} is a single value, it has no keys below it")
        values = child
    values[last] = value
