"""`crosstune evaluate`: a recipe's stage, or a run against judgements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from crosstune.commands.endpoint_options import (
    AttemptsOption,
    ConcurrencyOption,
    FreshOption,
    RateOption,
    TimeoutOption,
)
from crosstune.commands.options import (
    FirstStageOption,
    JsonOption,
    MeasureOption,
    OwnResamplesOption,
    OwnSeedOption,
    QrelsOption,
    RelevantOption,
)
from crosstune.commands.rerank_options import (
    CollectionOption,
    CorpusOption,
    EndpointOption,
    KeyOption,
    ModelOption,
    PriceOption,
    RerankerOption,
    SizeOption,
    SplitOption,
    StyleOption,
    TokenPriceOption,
    WriteRunOption,
)

KEYS_HELP = "For a recipe: overrides, for example evaluate.resamples=1000 run_dir=runs/mine."


def register(app: typer.Typer) -> None:
    app.command()(evaluate)


def evaluate(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|RUN|TREC-RUN",
            help="A .yaml file or the name of a shipped recipe: does that recipe's evaluation. A folder: "
            "the run folder of a recipe, or what --out wrote. Any other file: a TREC run.",
        ),
    ],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help=KEYS_HELP)] = None,
    qrels: QrelsOption = None,
    measure: MeasureOption = None,
    relevant_from: RelevantOption = None,
    first_stage: FirstStageOption = None,
    queries: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="queries.jsonl: break down by length and by its fields."),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="Break down by a field of the queries file too.")
    ] = None,
    depth: Annotated[
        list[int] | None, typer.Option(min=1, help="Candidates reranked; 10, 20, 50, 100, 1000 by default.")
    ] = None,
    msmarco: Annotated[
        bool,
        typer.Option("--msmarco", help="Score qid, pid, rank lines as the official MS MARCO script does."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write metrics.json, per_query.csv and the run there."),
    ] = None,
    seed: OwnSeedOption = None,
    resamples: OwnResamplesOption = None,
    as_json: JsonOption = False,
    endpoint: EndpointOption = None,
    style: StyleOption = None,
    model: ModelOption = None,
    api_key_env: KeyOption = None,
    reranker: RerankerOption = None,
    collection: CollectionOption = None,
    split: SplitOption = None,
    corpus: CorpusOption = None,
    price_per_1000: PriceOption = None,
    price_per_million_tokens: TokenPriceOption = None,
    concurrency: ConcurrencyOption = None,
    requests_per_minute: RateOption = None,
    documents_per_request: SizeOption = None,
    timeout_seconds: TimeoutOption = None,
    attempts: AttemptsOption = None,
    fresh: FreshOption = False,
    write_run: WriteRunOption = None,
) -> None:
    """Evaluate a run against judgements, or do the evaluation of a recipe.

    What the first argument is decides: a recipe's stage is run; a run (folder or TREC file) is measured. With
    --endpoint or --reranker, the candidates of a TREC run are reranked by others and measured side by side.
    """
    given = {
        "--qrels": qrels, "--measure": measure, "--relevant-from": relevant_from,
        "--first-stage": first_stage, "--queries": queries, "--by": by, "--depth": depth,
        "--msmarco": msmarco, "--out": out, "--seed": seed, "--resamples": resamples,
    }  # fmt: skip
    chance = (13 if seed is None else seed, resamples or 10_000)
    others = {
        "--style": style, "--model": model, "--api-key-env": api_key_env, "--collection": collection,
        "--split": split, "--corpus": corpus, "--price-per-1000": price_per_1000,
        "--price-per-million-tokens": price_per_million_tokens, "--concurrency": concurrency,
        "--requests-per-minute": requests_per_minute, "--documents-per-request": documents_per_request,
        "--timeout-seconds": timeout_seconds, "--attempts": attempts, "--fresh": fresh,
        "--write-run": write_run,
    }  # fmt: skip
    if endpoint or reranker:
        words = {**given, **others, "--endpoint": endpoint, "--reranker": reranker}
        _benchmark(target, overrides or [], words, chance, as_json)
        return
    _check_alone(others)
    if _is_recipe(target, overrides or []):
        _run_stage(target, overrides or [], given, as_json)
        return
    if msmarco:
        _ms_marco(Path(target), qrels, {name: v for name, v in given.items() if name != "--qrels"}, as_json)
        return
    from crosstune import assessment

    request = assessment.Request(
        target, qrels, tuple(measure or ()), relevant_from, first_stage, queries, tuple(by or ()),
        tuple(depth or ()), out, *chance,
    )  # fmt: skip
    _show(assessment.evaluate_run(request), as_json)


def _said(given: dict[str, Any]) -> list[str]:
    """The options of the command line; a seed of 0 is one."""
    return [name for name, value in given.items() if value or (value == 0 and value is not False)]


def _check_alone(others: dict[str, Any]) -> None:
    from crosstune.errors import InputError

    if names := _said(others):
        raise InputError(
            f"{', '.join(names)}: belongs to a benchmark; name whom to ask with --endpoint or --reranker"
        )


def _benchmark(
    target: str, overrides: list[str], given: dict[str, Any], chance: tuple[int, int], as_json: bool
) -> None:
    from crosstune.benchmark import benchmark
    from crosstune.benchmark_table import render_benchmark
    from crosstune.commands.rerank_options import benchmark_request
    from crosstune.errors import InputError
    from crosstune.progress import say

    foreign = [name for name in ("--by", "--first-stage", "--msmarco") if given[name]]
    if overrides or foreign:
        raise InputError(
            f"{', '.join([*overrides, *foreign])}: --endpoint and --reranker take the candidates of a TREC "
            "run alone; leave it out"
        )
    metrics = benchmark(benchmark_request(Path(target), given, *chance))
    typer.echo(json.dumps(metrics, ensure_ascii=False) if as_json else render_benchmark(metrics))
    for note in metrics["notes"]:
        say(f"note: {note}")


def _is_recipe(target: str, overrides: list[str]) -> bool:
    path = Path(target)
    return bool(overrides) or path.suffix in (".yaml", ".yml") or not path.exists()


def _run_stage(recipe: str, overrides: list[str], given: dict[str, Any], as_json: bool) -> None:
    from crosstune import execute
    from crosstune.errors import InputError

    if names := ", ".join(_said(given)):
        what = recipe if Path(recipe).exists() else f"{recipe} (no such file)"
        raise InputError(
            f"{what} is taken for a recipe, and {names} belongs to a run; name a run, or leave it out"
        )
    execute.run_one("evaluate", recipe, overrides, as_json=as_json)


def _ms_marco(run: Path, qrels: Path | None, given: dict[str, Any], as_json: bool) -> None:
    from dataclasses import asdict

    from crosstune.errors import InputError
    from crosstune.evaluate.msmarco import NAME, ms_marco_eval
    from crosstune.progress import say

    others = [name for name in _said(given) if name != "--msmarco"]
    if qrels is None or others:
        reason = f"leave {', '.join(others)} out" if others else "give --qrels FILE"
        raise InputError(f"--msmarco is the official script and takes a run and --qrels alone; {reason}")
    result = ms_marco_eval(qrels, run)
    for note in result.notes:
        say(f"note: {note}")
    if as_json:
        typer.echo(json.dumps({NAME: result.mrr, **asdict(result)}))
    else:
        typer.echo(f"{NAME}: {result.mrr}\nqueries in the qrels: {result.queries}\n"
                   f"QueriesRanked: {result.queries_ranked}")  # fmt: skip


def _show(metrics: dict[str, Any], as_json: bool) -> None:
    from crosstune.evaluate.tables import render_assessment
    from crosstune.progress import say

    if as_json:
        typer.echo(json.dumps(metrics, ensure_ascii=False))
    else:
        typer.echo(render_assessment(metrics, next(iter(metrics["splits"]))))
    for note in metrics["notes"]:
        say(f"note: {note}")
