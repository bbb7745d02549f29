"""The trainings of a learning curve: the run's own on all labels, and one on each part of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from crosstune.curve.fit import LearningCurve, Point, advice, forecast
from crosstune.curve.page import render_curve
from crosstune.data import read_groups
from crosstune.errors import InputError
from crosstune.evaluate import ceiling, mean, per_query
from crosstune.files import read_json, write_json, write_text
from crosstune.progress import say
from crosstune.recipe import Recipe, dump_recipe
from crosstune.records import Qrels
from crosstune.run import RunFolder, is_done, locked, run_stage
from crosstune.stage_copies import drop_weights, take_stages
from crosstune.stages import Pipeline
from crosstune.train.fusion import MEASURE
from crosstune.train.scoring import drawn_lists
from crosstune.trec import read_run

SCHEMA = 1
PARTS = (0.1, 0.25, 0.5)
"""Of the labelled queries that the run itself trains on; each part lies in the next."""
FEWEST = 20
"""Labelled queries: a tenth of fewer tells nothing."""


@dataclass(frozen=True)
class Training:
    """What came of one: how much it learned from, and query id -> nDCG@10 of the tuned model on dev."""

    queries: int
    groups: int
    values: dict[str, float]


def check_queries(count: int) -> None:
    """Raises `InputError` for too few train queries."""
    if count < FEWEST:
        raise InputError(
            f"curve: the run trains on {count} labelled queries, and a curve over parts of them needs "
            f"{FEWEST} or more; set curve=false"
        )


def learning_curve(pipeline: Pipeline) -> LearningCurve:
    """Trains on the parts, each in a run folder of its own below `curve/`, and writes `curve.json` and
    `curve.html` there. The run itself, with its training done, is the last point; test is never read.

    What is done is not done again: the same command goes on after a kill. Raises `InputError` for a run of
    fewer than 20 labelled queries.
    """
    folder, recipe = pipeline.folder, pipeline.recipe
    candidates = read_run(folder.candidates("dev"))
    qrels = pipeline.collection().qrels["dev"]
    count = max(recipe.train.dev_queries, recipe.train.verdict_queries)
    lists = drawn_lists(qrels, candidates, count, recipe.train.dev_depth, recipe.seed)
    judged = {query_id: qrels[query_id] for query_id in lists}
    whole = _measured(folder, judged)
    check_queries(whole.queries)
    trainings = [*(_part(pipeline, share, judged) for share in PARTS), whole]
    best = mean(_values(judged, ceiling(judged, lists)))
    counts = [training.queries for training in trainings]
    law, spans, forecasts = forecast([t.values for t in trainings], counts, best, recipe.seed)
    unused = _unused(pipeline, whole.queries)
    dev = read_json(folder.train_summary)["dev"]
    curve = LearningCurve(
        SCHEMA,
        MEASURE,
        len(judged),
        [
            Point(share, t.queries, t.groups, mean(t.values), *span)
            for share, t, span in zip((*PARTS, 1.0), trainings, spans, strict=True)
        ],
        dict(zip("cab", law.tolist(), strict=True)),
        forecasts,
        {"first_stage": dev["first_stage"], "base": dev["base"], "ceiling": best},
        unused,
        advice(forecasts[0], whole.queries, unused),
    )
    write_json(folder.curve / "curve.json", asdict(curve))
    write_text(folder.curve / "curve.html", render_curve(curve))
    return curve


def _part(pipeline: Pipeline, share: float, judged: Qrels) -> Training:
    """Trains on that share of the queries, or reads what such a training came to. Its weights are deleted."""
    folder = RunFolder(pipeline.folder.curve / f"share-{round(100 * share):03d}")
    recipe = _on_share(pipeline.recipe, share)
    every = Pipeline(recipe, folder).stages()
    stages = every[: [stage.name for stage in every].index("train") + 1]
    mark, kept = stages[-1].fingerprint, folder.root / "training.json"
    if kept.is_file() and (found := read_json(kept)).pop("fingerprint") == mark:
        say(f"curve, {share:.0%} of the labelled queries: skipped, up to date")
        return Training(**found)
    say(f"curve, {share:.0%} of the labelled queries:")
    with locked(folder):
        write_text(folder.recipe, dump_recipe(recipe))
        take_stages(pipeline.folder, folder, ("collection", "retrieve", "adapt"))
        for stage in stages:
            if not is_done(folder, stage):
                run_stage(folder, stage)
        training = _measured(folder, judged)
        write_json(kept, {"fingerprint": mark, **asdict(training)})
        drop_weights(folder)
    return training


def _on_share(recipe: Recipe, share: float) -> Recipe:
    mine = recipe.mine.model_copy(update={"query_share": share * recipe.mine.query_share})
    return recipe.model_copy(update={"mine": mine, "curve": False})


def _unused(pipeline: Pipeline, used: int) -> int:
    """Labelled queries that mining was told to leave out."""
    left = read_json(pipeline.folder.stage("mine") / "mining.json")["left_out"]
    if not left["over_max_groups"] + left["outside_query_share"]:
        return 0
    labelled = pipeline.collection().qrels["train"].values()
    return sum(max(judged.values()) > 0 for judged in labelled) - used


def _measured(folder: RunFolder, judged: Qrels) -> Training:
    groups = read_groups(folder.stage("mine"))
    values = _values(judged, read_run(folder.dev_scores))
    return Training(len({group.query_id for group in groups}), len(groups), values)


def _values(judged: Qrels, run: dict[str, dict[str, float]]) -> dict[str, float]:
    return per_query(judged, run, [MEASURE])[MEASURE]
