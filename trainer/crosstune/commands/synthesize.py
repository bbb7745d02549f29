"""`crosstune synthesize`: queries for passages that have none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
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
    from crosstune.labels.writers import ChatWriter, Seq2SeqWriter

MODEL = "A seq2seq model of your own"
FILTERS = "Which queries are kept"


def register(app: typer.Typer) -> None:
    app.command()(synthesize)


def synthesize(
    collection: CollectionArgument,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The collection to write.")],
    words: WordsArgument = None,
    seq2seq: Annotated[
        str | None,
        typer.Option(metavar="MODEL", rich_help_panel=MODEL, help="hub:NAME, package: or a folder."),
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(rich_help_panel=MODEL, help="Put before a passage, if it was trained so.")
    ] = None,
    passage_tokens: Annotated[
        int | None, typer.Option(min=8, rich_help_panel=MODEL, help="Of a passage, at most (384).")
    ] = None,
    query_tokens: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=MODEL, help="Of a query, at most (64).")
    ] = None,
    endpoint: EndpointOption = None,
    model: ModelOption = None,
    api_key_env: KeyOption = None,
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
    passages: Annotated[
        int, typer.Option(min=0, help="Drawn by seed, to write queries for; 0 for all.")
    ] = 1000,
    queries: Annotated[int, typer.Option(min=1, max=50, help="A passage.")] = 3,
    evaluation_passages: Annotated[
        bool,
        typer.Option("--evaluation-passages", help="Take also those that dev or test judges relevant."),
    ] = False,
    round_trip: Annotated[
        int,
        typer.Option(
            min=0,
            rich_help_panel=FILTERS,
            help="The passage is among so many best of the first stage; 0: not looked at.",
        ),
    ] = 10,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="MODEL", rich_help_panel=FILTERS, help="A cross-encoder that scores them."),
    ] = None,
    teacher_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, rich_help_panel=FILTERS, help="Of the teacher, at least; .5."),
    ] = None,
    dev: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Share of generated queries for dev; of people's alone without."),
    ] = 0.0,
    test: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Share of generated queries for test; of people's alone without."),
    ] = 0.0,
    seed: SeedOption = 13,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write queries for passages, with a model or an endpoint, as a collection that training takes."""
    given = locals()
    from crosstune.commands.chat_options import chat_words, first_stage, show_plan
    from crosstune.data import SplitRule
    from crosstune.errors import InputError
    from crosstune.labels.folder import open_labelled
    from crosstune.labels.synthesize import Choices, plan
    from crosstune.labels.synthesize import synthesize as work
    from crosstune.labels.writers import ChatWriter

    if teacher_score is not None and teacher is None:
        raise InputError("--teacher-score: belongs to --teacher MODEL; name one, or leave it out")
    chat = chat_words(given)
    own = {"--seq2seq": seq2seq, "--prefix": prefix, "--passage-tokens": passage_tokens,
           "--query-tokens": query_tokens}  # fmt: skip
    choices = Choices(
        passages or None,
        evaluation_passages,
        first_stage(words or []),
        round_trip,
        teacher,
        0.5 if teacher_score is None else teacher_score,
        SplitRule(dev, test, seed, disjoint_positives=True),
        seed,
    )
    with open_labelled(collection, seed, out, overwrite=overwrite) as source:
        writer = _writer(source, chat, own, queries, seed)
        if dry_run and isinstance(writer, ChatWriter):
            show_plan(plan(source, writer, choices), as_json=as_json)
            return
        done = work(source, out, writer, choices)
    if as_json:
        typer.echo(json.dumps({"schema": 1, **asdict(done)}, ensure_ascii=False))


def _writer(
    source: Labelled, chat: Mapping[str, Any], own: Mapping[str, Any], queries: int, seed: int
) -> Seq2SeqWriter | ChatWriter:
    from crosstune.commands.chat_options import chat_limits, chat_settings, only_of_an_endpoint
    from crosstune.commands.endpoint_options import load_of
    from crosstune.errors import InputError
    from crosstune.labels.prompts import draw_examples, query_template
    from crosstune.labels.seq2seq import Seq2SeqSettings, resolve_seq2seq
    from crosstune.labels.writers import ChatWriter, Seq2SeqWriter

    if own["--seq2seq"]:
        only_of_an_endpoint(chat, "--seq2seq")
        resolve_seq2seq(own["--seq2seq"])
        settings = Seq2SeqSettings(
            own["--seq2seq"], queries, own["--prefix"] or "", own["--passage-tokens"] or 384,
            own["--query-tokens"] or 64, seed,
        )  # fmt: skip
        return Seq2SeqWriter(settings, chat["--fresh"])
    if not chat["--endpoint"]:
        raise InputError("who writes the queries? --seq2seq MODEL, or --endpoint URL with --model NAME")
    given = [name for name, value in own.items() if value is not None]
    if given:
        raise InputError(f"{', '.join(given)}: belongs to --seq2seq, not to --endpoint; leave one out")
    examples = 3 if chat["--examples"] is None else chat["--examples"]
    return ChatWriter(
        chat_settings(chat, temperature=0.7),
        query_template(chat["--prompt"]),
        draw_examples(source.collection, source.generated, examples, seed, highest=None),
        queries,
        chat["--passage-characters"] or 6000,
        load_of(chat),
        chat_limits(chat),
    )
