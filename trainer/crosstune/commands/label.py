"""`crosstune label`: grades of candidates by an endpoint or a cross-encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crosstune.commands.chat_options import (
    CharactersOption,
    CollectionArgument,
    DryRunOption,
    EndpointOption,
    ExamplesOption,
    FieldOption,
    InputPriceOption,
    KeyOption,
    MaxCostOption,
    MaxRequestsOption,
    MaxTokensOption,
    ModelOption,
    OutputPriceOption,
    OutputTokensOption,
    OverwriteOption,
    PromptOption,
    SeedOption,
    TemperatureOption,
    WordsArgument,
)
from crosstune.commands.endpoint_options import (
    AttemptsOption,
    ConcurrencyOption,
    FreshOption,
    RateOption,
    TimeoutOption,
)
from crosstune.commands.options import JsonOption

if TYPE_CHECKING:
    from crosstune.labels.folder import Labelled
    from crosstune.labels.graders import Grader
    from crosstune.labels.prompts import Example

MODEL = "A cross-encoder of your own"
AGREEMENT = "The comparison with people, which comes first"


class SplitName(str, Enum):
    train = "train"
    dev = "dev"
    test = "test"


def register(app: typer.Typer) -> None:
    app.command()(label)


def label(
    collection: CollectionArgument,
    words: WordsArgument = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The collection to write; without it, compare and end."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="TREC-RUN", help="The candidates, in place of the first stage.")
    ] = None,
    split: Annotated[SplitName, typer.Option(help="Its queries, and those of no split.")] = SplitName.train,
    allow_evaluation: Annotated[
        bool, typer.Option("--allow-evaluation", help="Let generated labels into dev or test.")
    ] = False,
    depth: Annotated[int, typer.Option(min=1, max=1000, help="Candidates a query.")] = 10,
    queries: Annotated[int | None, typer.Option(min=1, help="At most, drawn by seed; all without.")] = None,
    cross_encoder: Annotated[
        str | None,
        typer.Option(metavar="MODEL", rich_help_panel=MODEL, help="package:, hub:NAME or a folder."),
    ] = None,
    likely_positive: Annotated[
        float | None,
        typer.Option(min=0, max=1, rich_help_panel=MODEL, help="Score above which a pair is relevant; .9."),
    ] = None,
    likely_negative: Annotated[
        float | None,
        typer.Option(min=0, max=1, rich_help_panel=MODEL, help="Score below which it is not; .1."),
    ] = None,
    endpoint: EndpointOption = None,
    model: ModelOption = None,
    api_key_env: KeyOption = None,
    grades: Annotated[
        int | None,
        typer.Option(min=1, max=3, help="The highest to ask an endpoint for (that of the train labels)."),
    ] = None,
    temperature: TemperatureOption = None,
    max_output_tokens: OutputTokensOption = None,
    request_field: FieldOption = None,
    prompt: PromptOption = None,
    examples: ExamplesOption = None,
    passage_characters: CharactersOption = None,
    concurrency: ConcurrencyOption = None,
    requests_per_minute: RateOption = None,
    timeout_seconds: TimeoutOption = None,
    attempts: AttemptsOption = None,
    fresh: FreshOption = False,
    price_per_million_input_tokens: InputPriceOption = None,
    price_per_million_output_tokens: OutputPriceOption = None,
    max_requests: MaxRequestsOption = None,
    max_tokens: MaxTokensOption = None,
    max_cost: MaxCostOption = None,
    dry_run: DryRunOption = False,
    compare: Annotated[
        int, typer.Option(min=1, rich_help_panel=AGREEMENT, help="Pairs of people's labels, at most.")
    ] = 200,
    review: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=AGREEMENT,
            help="Of crosstune review: people's labels too.",
        ),
    ] = None,
    assume_unjudged: Annotated[
        bool,
        typer.Option(
            "--assume-unjudged",
            rich_help_panel=AGREEMENT,
            help="Candidates that nobody judged count as not relevant in it.",
        ),
    ] = False,
    min_kappa: Annotated[
        float | None,
        typer.Option(min=-1, max=1, rich_help_panel=AGREEMENT, help="Below it nothing is labelled (exit 1)."),
    ] = None,
    seed: SeedOption = 13,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Grade candidates with an endpoint or a cross-encoder, after comparing it with people's labels."""
    given = locals()
    from crosstune.commands.chat_options import chat_words, first_stage, show_plan
    from crosstune.errors import InputError
    from crosstune.labels.folder import open_labelled
    from crosstune.labels.graders import ChatGrader
    from crosstune.labels.label import Choices, plan
    from crosstune.labels.label import label as work

    chat = chat_words(given) | {"--grades": grades}
    if split is not SplitName.train and out is not None and not allow_evaluation:
        raise InputError(
            f"--split {split.value}: dev and test hold people's labels alone, since a figure over generated "
            "ones says how a model agrees with another; --allow-evaluation lets them in all the same"
        )
    choices = Choices(
        split.value, run, first_stage(words or []), depth, queries, compare, review, assume_unjudged,
        min_kappa, seed,
    )  # fmt: skip
    with open_labelled(collection, seed, out, overwrite=overwrite) as source:
        limits = {"--likely-positive": likely_positive, "--likely-negative": likely_negative}
        grader, shown = _grader(source, chat, cross_encoder, limits, seed)
        if dry_run and isinstance(grader, ChatGrader):
            show_plan(plan(source, grader, shown, choices, to_label=out is not None), as_json=as_json)
            return
        done = work(source, out, grader, shown, choices)
    if as_json:
        typer.echo(json.dumps({"schema": 1, **asdict(done)}, ensure_ascii=False))


def _grader(
    source: Labelled,
    chat: Mapping[str, Any],
    cross_encoder: str | None,
    limits: Mapping[str, float | None],
    seed: int,
) -> tuple[Grader, list[Example]]:
    """Who grades, and the labels that it is shown."""
    from crosstune.commands.chat_options import chat_limits, chat_settings, only_of_an_endpoint
    from crosstune.commands.endpoint_options import load_of
    from crosstune.errors import InputError
    from crosstune.labels.graders import ChatGrader, CrossEncoderGrader
    from crosstune.labels.prompts import draw_examples, grade_template, highest_grade
    from crosstune.labels.spending import Spending

    if cross_encoder is not None:
        only_of_an_endpoint(chat, "--cross-encoder")
        return CrossEncoderGrader(cross_encoder, *_in_order(limits), seed), []
    if not chat["--endpoint"]:
        raise InputError("who grades? --cross-encoder MODEL, or --endpoint URL with --model NAME")
    if given := [name for name, value in limits.items() if value is not None]:
        raise InputError(f"{', '.join(given)}: belongs to --cross-encoder, not to --endpoint; leave one out")
    settings = chat_settings(chat, temperature=0.0)
    count = 3 if chat["--examples"] is None else chat["--examples"]
    highest = chat["--grades"] or highest_grade(source.collection, source.generated)
    examples = draw_examples(source.collection, source.generated, count, seed, highest)
    grader = ChatGrader(
        settings,
        grade_template(chat["--prompt"]),
        examples,
        highest,
        chat["--passage-characters"] or 6000,
        load_of(chat),
        Spending(settings, chat_limits(chat)),
    )
    return grader, examples


def _in_order(limits: Mapping[str, float | None]) -> tuple[float, float]:
    from crosstune.errors import InputError

    positive, negative = (
        usual if value is None else value for value, usual in zip(limits.values(), (0.9, 0.1), strict=True)
    )
    if negative > positive:
        raise InputError(f"--likely-negative {negative:g} is above --likely-positive {positive:g}")
    return positive, negative
