"""What the commands of a recipe do: run stages in order, skip, force, and show the result."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from crosstune.errors import CheckFailed, InputError
from crosstune.files import read_json, write_text
from crosstune.processes import JOINT_STAGES, connect, count, is_first, shared
from crosstune.progress import duration, say
from crosstune.ranked_query import RankedQuery, rank_query, render_query
from crosstune.recipe import Recipe, dump_recipe, load_recipe
from crosstune.reproduction import ReproductionPipeline
from crosstune.run import (
    ROUND_1,
    RunFolder,
    Stage,
    forget,
    is_done,
    locked,
    run_stage,
    split_run_dir,
    take_over,
    takes_over,
)
from crosstune.stages import Pipeline
from crosstune.unfinished import refuse_to_overwrite
from crosstune.whole_run import refuse_at_once

if TYPE_CHECKING:
    from crosstune.curve.fit import LearningCurve

AnyPipeline = Pipeline | ReproductionPipeline
Outcome = TypeVar("Outcome")


def run(
    path: str,
    overrides: Sequence[str],
    *,
    query: str | None,
    dry_run: bool,
    force: str | None,
    as_json: bool,
) -> None:
    """All stages of a recipe. Raises what the stages raise."""
    pipeline = _joined(path, overrides)
    if is_first():
        _run_all(pipeline, query=query, dry_run=dry_run, force=force, as_json=as_json)
        shared(None)


def _run_all(
    pipeline: AnyPipeline, *, query: str | None, dry_run: bool, force: str | None, as_json: bool
) -> None:
    if force is not None:
        _check_stage(pipeline, force)
    if query is not None and not isinstance(pipeline, Pipeline):
        raise InputError(
            "--query needs a recipe with a first stage; this one reranks the candidates of a file"
        )
    if dry_run:
        _show_plan(pipeline, force, as_json=as_json)
        return
    if query is not None and isinstance(pipeline, Pipeline):
        _check_searchable(pipeline)
    started = time.monotonic()
    folder = pipeline.folder
    with locked(folder):
        stages = pipeline.stages()
        kept = list(takewhile(lambda stage: stage.name != force, stages))
        _keep_unfinished(pipeline, kept)
        write_text(folder.recipe, dump_recipe(pipeline.recipe))
        take_over(folder, stages)
        forget(folder, stages[len(kept) :], kept)
        for stage in stages:
            if is_done(folder, stage):
                say(f"{stage.name}: skipped, up to date")
            else:
                _work_or_show(pipeline, stage, as_json=as_json)
            if stage.name == "collection" and isinstance(pipeline, Pipeline):
                is_left = pipeline.recipe.curve or not all(is_done(folder, later) for later in stages)
                if is_left:  # where nothing is, no library is loaded to look at the base
                    refuse_at_once(pipeline.recipe, folder)
        curve = _or_show(pipeline, None, lambda: _curve(pipeline), as_json=as_json)
    ranked = None
    if query is not None and isinstance(pipeline, Pipeline):
        ranked = _or_show(pipeline, curve, partial(rank_query, pipeline, query), as_json=as_json)
    _show_result(pipeline, curve, exported=True, as_json=as_json, ranked=ranked)
    say(f"all done in {duration(time.monotonic() - started)}")


def _or_show(
    pipeline: AnyPipeline, curve: LearningCurve | None, work: Callable[[], Outcome], *, as_json: bool
) -> Outcome:
    """What `work` adds to a run that is done; where it fails, the result so far is shown all the same."""
    try:
        return work()
    except (CheckFailed, InputError):
        _show_result(pipeline, curve, exported=True, as_json=as_json)
        raise


def _work_or_show(pipeline: AnyPipeline, stage: Stage, *, as_json: bool) -> None:
    try:
        _work(pipeline, stage)
    except CheckFailed:
        if stage.name == "export":  # what was measured tells why
            _show_result(pipeline, _curve(pipeline), exported=False, as_json=as_json)
        raise


def run_one(name: str, path: str, overrides: Sequence[str], *, as_json: bool) -> None:
    """One stage alone; the collection, and before `mine` the first of two rounds, are done where they are
    not.

    Raises `InputError` when another stage before it has not been run with this recipe."""
    joint = name in JOINT_STAGES
    pipeline = _joined(path, overrides) if joint else _pipeline(path, overrides)
    if is_first():
        _run_one(name, pipeline, as_json=as_json)
        if joint:
            shared(None)


def _run_one(name: str, pipeline: AnyPipeline, *, as_json: bool) -> None:
    _check_stage(pipeline, name)
    folder = pipeline.folder
    with locked(folder):
        stages = pipeline.stages()
        earlier = (*ROUND_1.values(),) if name == "mine" else ()
        _keep_unfinished(pipeline, [stage for stage in stages if stage.name in (name, *earlier)])
        write_text(folder.recipe, dump_recipe(pipeline.recipe))
        take_over(folder, stages)
        for stage in stages:
            if stage.name == name:
                _work(pipeline, stage) if not is_done(folder, stage) else say(f"{name}: up to date")
                break
            if not is_done(folder, stage):
                if stage.name not in ("collection", *earlier):
                    command = "mine" if stage.name in ROUND_1.values() else stage.name
                    raise InputError(
                        f"{folder.root}: the stage {stage.name} has not been run with these settings; "
                        f"run crosstune {command} first, or crosstune run for all stages"
                    )
                run_stage(folder, stage)
    if as_json:
        print(json.dumps({"stage": name, "folder": str(folder.root / name)}))
    else:
        say(f"written to {folder.root / name}")


def _work(pipeline: AnyPipeline, stage: Stage) -> None:
    if stage.name == "export" and isinstance(pipeline, Pipeline):
        from crosstune.run_report import ends_with_report

        stage = ends_with_report(pipeline, stage)
    run_stage(pipeline.folder, stage)


def tune_and_retrieve(path: str, overrides: Sequence[str], *, as_json: bool) -> None:
    """Tries settings of BM25 on the dev split, says how to keep the best, and retrieves with them.

    Raises `InputError` for another kind of first stage and for a collection without a dev split.
    """
    from crosstune.data import tune
    from crosstune.evaluate import mean, per_query

    pipeline = _pipeline(path, overrides)
    if not isinstance(pipeline, Pipeline):
        raise InputError(f"--tune: {path} reranks the candidates of a file and has no first stage to tune")
    with locked(pipeline.folder):
        stage = pipeline.stages()[0]
        if not is_done(pipeline.folder, stage):
            run_stage(pipeline.folder, stage)
    headline = pipeline.recipe.evaluate.measures[0]
    trials = tune(
        pipeline.collection(),
        pipeline.recipe.first_stage,
        lambda qrels, run: mean(per_query(qrels, run, [headline])[headline]),
    )
    say(f"  k1    b     dev {headline}  R@{pipeline.recipe.first_stage.depth}, the best of {len(trials)}")
    for trial in trials[:5]:
        say(f"  {trial.k1:<5} {trial.b:<5} {trial.value:.4f}  {trial.recall:.4f}")
    best = [f"first_stage.k1={trials[0].k1}", f"first_stage.b={trials[0].b}"]
    say(f"to keep them, put into the recipe or give to every command: {' '.join(best)}")
    run_one("retrieve", path, [*overrides, *best], as_json=as_json)


def _check_searchable(pipeline: Pipeline) -> None:
    """Says before hours of work that there is nothing to ask a new query."""
    from crosstune.data import check_searchable

    check_searchable(pipeline.recipe.first_stage)


def _pipeline(path: str, overrides: Sequence[str]) -> AnyPipeline:
    run_dir, words = split_run_dir(overrides)
    recipe = load_recipe(path, words)
    folder = RunFolder(run_dir or Path("runs") / recipe.name)
    return Pipeline(recipe, folder) if isinstance(recipe, Recipe) else ReproductionPipeline(recipe, folder)


def _keep_unfinished(pipeline: AnyPipeline, stages: Sequence[Stage]) -> None:
    for stage in stages:
        if stage.resumable:
            refuse_to_overwrite(pipeline.folder, stage, pipeline.recipe)


def _joined(path: str, overrides: Sequence[str]) -> AnyPipeline:
    """The pipeline, in whichever process. One beside the first takes its part of the training, if the first
    comes to one, before this returns."""
    connect()
    pipeline = _pipeline(path, overrides)
    if count() > 1 and isinstance(pipeline, Pipeline) and pipeline.recipe.curve:
        raise InputError(
            "curve: the parts of a learning curve train in one process, and this launch has "
            f"{count()}; set curve=false here, and give the same command with curve=true to a single process "
            "once the run is done"
        )
    if not is_first():
        while (name := shared("")) is not None:
            stage = next(stage for stage in pipeline.stages() if stage.name == name)
            with redirect_stdout(sys.stderr):
                stage.work(pipeline.folder.partial(stage.name))
    return pipeline


def _check_stage(pipeline: AnyPipeline, name: str) -> None:
    names = [stage.name for stage in pipeline.stages()]
    if name not in names:
        hint = "; adapt.steps=N turns it on" if name == "adapt" else ""
        raise InputError(f"{name}: no such stage in this recipe; one of {', '.join(names)}{hint}")


def _show_plan(pipeline: AnyPipeline, force: str | None, *, as_json: bool) -> None:
    plan: dict[str, bool] = {}
    forced = False
    for stage in pipeline.stages():
        forced = forced or stage.name == force
        ready = is_done(pipeline.folder, stage) or takes_over(pipeline.folder, stage) is not None
        plan[stage.name] = ready and not forced
    if as_json:
        told = {"recipe": pipeline.recipe.model_dump(mode="json"), "up_to_date": plan}
        print(json.dumps({"schema": 1, "run_dir": str(pipeline.folder.root), **told}))
        return
    print(dump_recipe(pipeline.recipe))
    for name, done in plan.items():
        print(f"{name:<12}{'skip, up to date' if done else 'run'}")
    if isinstance(pipeline, Pipeline) and pipeline.recipe.curve:
        print(f"{'curve':<12}mine and train on parts of the labels as well")
    print(f"run folder: {pipeline.folder.root}")


def _curve(pipeline: AnyPipeline) -> LearningCurve | None:
    """The learning curve, where the recipe asks for one."""
    if not isinstance(pipeline, Pipeline) or not pipeline.recipe.curve:
        return None
    from crosstune.curve.run import learning_curve

    return learning_curve(pipeline)


def _show_result(
    pipeline: AnyPipeline,
    curve: LearningCurve | None,
    *,
    exported: bool,
    as_json: bool,
    ranked: RankedQuery | None = None,
) -> None:
    folder = pipeline.folder
    if as_json:
        told: dict[str, object] = {"curve": asdict(curve)} if curve is not None else {}
        if ranked is not None:
            told["ranked"] = asdict(ranked)
        print(json.dumps(read_json(folder.metrics) | {"run_dir": str(folder.root)} | told))
        return
    print(pipeline.table(read_json(folder.metrics)))
    if curve is not None:
        print(f"labels: {curve.sentence}")
        print(f"curve       {folder.curve / 'curve.html'}")
    print(f"run folder  {folder.root}")
    if folder.report.is_file():
        print(f"report      {folder.report}")
    if exported:
        print(f"export      {folder.export}")
    if ranked is not None:
        print(render_query(ranked))
