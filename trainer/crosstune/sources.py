"""What a RUN argument of the command line stands for: a TREC run, a run folder, or an evaluation's folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosstune.data import read_collection
from crosstune.errors import InputError
from crosstune.evaluate.assess import CEILING, FIRST_STAGE
from crosstune.evaluate.folder import EvaluationFolder
from crosstune.evaluate.ids import check_shared
from crosstune.files import read_json
from crosstune.label_sources import warn_generated
from crosstune.progress import say
from crosstune.qrels_files import split_file
from crosstune.recipe import MsMarcoRecipe, is_procedure, load_recipe
from crosstune.records import Qrels, Run, Split
from crosstune.run import STAGES, RunFolder, StageName
from crosstune.trec import read_qrels, read_run_file

SPLIT: Split = "test"
TUNED = "tuned"


@dataclass(frozen=True)
class Source:
    """One RUN: `run` is the run itself (of a run folder, what its export recommends), `systems` all that was
    measured, the first stage first. `qrels`, `collection`, `metrics` and `export` are what the folder knows
    of its own; `only`: the queries that its evaluation measured; `known_alone`: some judgements name passages
    that the collection has not, and the evaluation left them out."""

    name: str
    run: Run
    systems: Mapping[str, Run]
    split: str = "run"
    qrels: Path | None = None
    only: frozenset[str] | None = None
    known_alone: bool = False
    collection: Path | None = None
    metrics: Mapping[str, Any] | None = None
    export: Path | None = None
    notes: tuple[str, ...] = field(default=())


def open_source(argument: str, first_stage: Path | None = None) -> Source:
    """Reads RUN. `first_stage`: the candidates that a TREC run reranks.

    Raises `InputError` for what is none of the three, and for a run folder whose evaluation has not ended.
    """
    path = Path(argument)
    if path.is_dir():
        folder = RunFolder(path)
        if (path / ".stages").is_dir():
            if folder.recipe.is_file() and is_procedure(folder.recipe):
                return _procedure(folder, first_stage)
            return _run_folder(folder, first_stage)
        return _evaluation(EvaluationFolder(path), first_stage)
    file = read_run_file(path)
    candidates, notes = _first_stage(first_stage)
    return Source(argument, file.run, {**candidates, "run": file.run}, notes=(*notes, *file.notes))


def open_qrels(source: Source, given: Path | None) -> Qrels:
    """The judgements given, or those that the source's own collection holds, of the queries that its
    evaluation measured.

    Raises `InputError` when there are none, or when they share no query with the run.
    """
    judged = read_judgements(source, given)
    check_asked(source, judged)
    qrels = judged.qrels
    if source.only is not None:
        qrels = {query_id: grades for query_id, grades in qrels.items() if query_id in source.only}
        if given is not None and len(qrels) < len(judged.qrels):
            say(
                f"{len(judged.qrels) - len(qrels)} of {len(judged.qrels)} judged queries are left out: "
                f"{source.name} measured only some"
            )
    return qrels


@dataclass(frozen=True)
class Judgements:
    """`qrels` of the file at `path`; of a run folder's own, without what its evaluation left out."""

    path: Path
    qrels: Qrels


def read_judgements(source: Source, given: Path | None) -> Judgements:
    """The judgements given, or the source's own. Raises `InputError` when there are none."""
    path = given or source.qrels
    if path is None:
        raise InputError(
            f"{source.name}: give the judgements with --qrels FILE (TREC's 4 columns or BEIR's 3)"
        )
    if given is None and source.known_alone and source.collection is not None:
        qrels = read_collection(source.collection).qrels[SPLIT]
    else:
        qrels = read_qrels(path)
    warn_generated(path)
    return Judgements(path, qrels)


def check_asked(source: Source, judged: Judgements) -> None:
    """Raises `InputError`, with the likely cause, when the run shares no query with the judgements."""
    if not judged.qrels.keys() & source.run.keys():
        path = judged.path
        check_shared(judged.qrels, source.run, str(path), source.name, _other_splits(path))


def _other_splits(path: Path) -> dict[str, Qrels]:
    """The judgements beside these: usually the other splits of the collection."""
    found = {}
    for other in sorted(path.parent.glob(f"*{path.suffix}")):
        if other != path:
            try:
                found[str(other)] = read_qrels(other)
            except InputError:
                continue  # another kind of file: no help in telling the cause
    return found


def _first_stage(path: Path | None) -> tuple[dict[str, Run], tuple[str, ...]]:
    if path is None:
        return {}, ()
    file = read_run_file(path)
    return {FIRST_STAGE: file.run}, file.notes


def _run_folder(folder: RunFolder, first_stage: Path | None) -> Source:
    if first_stage is not None:
        raise InputError(f"{folder.root}: a run folder has its own first stage; leave --first-stage out")
    _check_ended(folder, STAGES[: STAGES.index("evaluate") + 1])
    metrics = read_json(folder.metrics)
    recommended = metrics["recommended"]
    names = [name for name in metrics["splits"][SPLIT] if name not in (FIRST_STAGE, CEILING)]
    runs = {name: read_run_file(folder.scores(SPLIT, name)) for name in names}
    candidates = read_run_file(folder.candidates(SPLIT)).run
    evaluated = _evaluated_queries(folder)
    systems = {
        FIRST_STAGE: {query_id: candidates[query_id] for query_id in candidates if query_id in evaluated},
        **{name: file.run for name, file in runs.items()},
    }
    collection = folder.collection_folder()
    return Source(
        str(folder.root),
        systems[recommended],
        systems,
        split=SPLIT,
        qrels=split_file(collection / "qrels", SPLIT),
        only=evaluated,
        known_alone=f"{SPLIT}_judgements_of_unknown_document" in read_json(folder.source)["counts"],
        collection=collection,
        metrics=metrics,
        export=folder.export,
        notes=tuple(note for file in runs.values() for note in file.notes),
    )


def _procedure(folder: RunFolder, first_stage: Path | None) -> Source:
    """What a published procedure ranked, of the split whose figure it is held to."""
    _check_ended(folder, ("collection", "train", "evaluate"))
    metrics = read_json(folder.metrics)
    split = list(metrics["splits"])[-1]
    file = read_run_file(folder.scores(split, TUNED))
    candidates, notes = _first_stage(first_stage)
    said = (
        "measured by trec_eval's rules (equal scores by document id), which the published figure in "
        f"{folder.metrics} is not"
    )
    return Source(
        str(folder.root),
        file.run,
        {**candidates, TUNED: file.run},
        split=split,
        qrels=_procedure_qrels(folder),
        metrics=metrics,
        export=folder.export,
        notes=(*notes, *file.notes, said),
    )


def _procedure_qrels(folder: RunFolder) -> Path | None:
    """MS MARCO's; TREC-CAR's lie in several files of other names."""
    recipe = load_recipe(str(folder.recipe))
    if not isinstance(recipe, MsMarcoRecipe):
        return None
    made = folder.stage("collection") / "qrels.dev.tsv"
    return made if made.is_file() else Path(recipe.data.folder).expanduser() / recipe.data.qrels


def _check_ended(folder: RunFolder, stages: Sequence[StageName]) -> None:
    """Raises `InputError` for a run that was stopped before its evaluation ended, with its stage."""
    for name in stages:
        stamp = read_json(folder.stamp(name)) if folder.stamp(name).is_file() else {}
        if stamp.get("state") != "done" or not folder.stage(name).is_dir():
            raise InputError(
                f"{folder.root}: its evaluation has not ended (the run stopped in the stage {name}), so "
                "there is no result to read; the command that began it goes on from there: "
                f"crosstune run RECIPE run_dir={folder.root}"
            )


def _evaluated_queries(folder: RunFolder) -> frozenset[str]:
    """The queries that the evaluation measured: all judged ones, or the sample that the recipe asked for."""
    with folder.per_query.open(newline="", encoding="utf-8") as handle:
        return frozenset(row["query_id"] for row in csv.DictReader(handle))


def _evaluation(folder: EvaluationFolder, first_stage: Path | None) -> Source:
    if not folder.metrics.is_file() or not folder.run.is_file():
        raise InputError(
            f"{folder.root}: neither a run folder (.stages/ is missing) nor what crosstune evaluate --out "
            f"wrote ({folder.metrics.name} and {folder.run.name}); was it stopped half-way? Begin it again"
        )
    run = read_run_file(folder.run).run
    candidates, notes = _first_stage(first_stage)
    metrics = read_json(folder.metrics)
    system = str(metrics["system"])
    return Source(str(folder.root), run, {**candidates, system: run}, metrics=metrics, notes=notes)
