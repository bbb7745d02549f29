"""The options that name a chat endpoint, what it may cost and what it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crosstune.commands.endpoint_options import PANEL, api_key

if TYPE_CHECKING:
    from crosstune.data import FirstStageSettings
    from crosstune.labels.chat import ChatSettings
    from crosstune.labels.plan import Plan
    from crosstune.labels.spending import Limits

COST = "What it may cost, earlier calls for the same result included"

CollectionArgument = Annotated[
    str,
    typer.Argument(metavar="COLLECTION", help="A BEIR folder, or KIND:PATH that crosstune convert reads."),
]
WordsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[first_stage.KEY=VALUE]...", help="The first stage, as in a recipe (bm25)."),
]
EndpointOption = Annotated[
    str | None,
    typer.Option(metavar="URL", rich_help_panel=PANEL,
                 help="Of the chat format of OpenAI, for example http://127.0.0.1:8000/v1."),
]  # fmt: skip
ModelOption = Annotated[
    str | None, typer.Option(metavar="NAME", rich_help_panel=PANEL, help="The endpoint's model.")
]
KeyOption = Annotated[
    str | None,
    typer.Option("--api-key-env", metavar="NAME", rich_help_panel=PANEL,
                 help="Environment variable that holds the key."),
]  # fmt: skip
TemperatureOption = Annotated[
    float | None, typer.Option(min=0, max=2, rich_help_panel=PANEL, help="Of the endpoint's draw.")
]
OutputTokensOption = Annotated[
    int | None,
    typer.Option("--max-output-tokens", min=1, rich_help_panel=PANEL, help="Of one answer (300)."),
]
FieldOption = Annotated[
    list[str] | None,
    typer.Option("--request-field", metavar="NAME=JSON", rich_help_panel=PANEL,
                 help="A field of the request, over crosstune's; null leaves one out; several times."),
]  # fmt: skip
PromptOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", rich_help_panel=PANEL, help="A template in place of the shipped prompt."),
]
ExamplesOption = Annotated[
    int | None,
    typer.Option(min=0, max=50, rich_help_panel=PANEL, help="Of people's train labels in the prompt (3)."),
]
CharactersOption = Annotated[
    int | None,
    typer.Option("--passage-characters", min=50, rich_help_panel=PANEL,
                 help="Of a passage in the prompt (6000)."),
]  # fmt: skip
InputPriceOption = Annotated[
    float | None,
    typer.Option("--price-per-million-input-tokens", min=0, metavar="PRICE", rich_help_panel=COST,
                 help="In any currency."),
]  # fmt: skip
OutputPriceOption = Annotated[
    float | None,
    typer.Option("--price-per-million-output-tokens", min=0, metavar="PRICE", rich_help_panel=COST,
                 help="In the same currency."),
]  # fmt: skip
MaxRequestsOption = Annotated[
    int | None, typer.Option("--max-requests", min=1, rich_help_panel=COST, help="Answers, at most.")
]
MaxTokensOption = Annotated[
    int | None, typer.Option("--max-tokens", min=1, rich_help_panel=COST, help="Sent and received, at most.")
]
MaxCostOption = Annotated[
    float | None, typer.Option("--max-cost", min=0, rich_help_panel=COST, help="By the prices, at most.")
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", rich_help_panel=COST,
                 help="Say what an endpoint would be asked for and print the first prompt; ask nothing."),
]  # fmt: skip
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of every draw.")]


CHAT = (
    "endpoint", "model", "api_key_env", "temperature", "max_output_tokens", "request_field", "prompt",
    "examples", "passage_characters", "concurrency", "requests_per_minute", "timeout_seconds", "attempts",
    "fresh", "price_per_million_input_tokens", "price_per_million_output_tokens", "max_requests",
    "max_tokens", "max_cost", "dry_run",
)  # fmt: skip


def chat_words(given: Mapping[str, Any]) -> dict[str, Any]:
    """Option name -> value, of a command's arguments."""
    return {f"--{name.replace('_', '-')}": given[name] for name in CHAT}


def chat_settings(given: Mapping[str, Any], temperature: float) -> ChatSettings:
    """Of the option names in `given`. Raises `InputError` for an address, model, key, price or field that is
    missing or cannot be used."""
    from crosstune.errors import InputError
    from crosstune.labels.chat import ChatSettings, chat_address

    url = chat_address(given["--endpoint"])
    if not given["--model"]:
        raise InputError("--endpoint: a chat request names a model: --model NAME")
    prices = given["--price-per-million-input-tokens"], given["--price-per-million-output-tokens"]
    if given["--max-cost"] is not None and not any(prices):
        raise InputError(
            "--max-cost: the prices are needed: --price-per-million-input-tokens and "
            "--price-per-million-output-tokens"
        )
    return ChatSettings(
        url,
        given["--model"],
        temperature if given["--temperature"] is None else given["--temperature"],
        given["--max-output-tokens"] or 300,
        api_key(given["--api-key-env"]),
        _fields(given["--request-field"] or []),
        prices[0] or 0.0,
        prices[1] or 0.0,
    )


def chat_limits(given: Mapping[str, Any]) -> Limits:
    from crosstune.labels.spending import Limits

    return Limits(given["--max-requests"], given["--max-tokens"], given["--max-cost"])


def only_of_an_endpoint(given: Mapping[str, Any], other: str) -> None:
    """Raises `InputError` for options of an endpoint beside `other`, which asks none (`--fresh` is
    of both)."""
    from crosstune.errors import InputError

    names = [name for name, value in given.items() if value not in (None, [], False) and name != "--fresh"]
    if names:
        raise InputError(f"{', '.join(names)}: belongs to --endpoint, and {other} asks none; leave one out")


def show_plan(plan: Plan, *, as_json: bool) -> None:
    from crosstune.progress import say

    say(f"dry run: {plan.words()}")
    typer.echo(json.dumps({"schema": 1, **asdict(plan)}, ensure_ascii=False) if as_json else plan.prompt)


def first_stage(words: Sequence[str]) -> FirstStageSettings:
    """BM25, or what `first_stage.KEY=VALUE` words say. Raises `InputError` for other words."""
    from crosstune.errors import InputError
    from crosstune.recipe import load_collection_recipe

    for word in words:
        if not word.startswith("first_stage."):
            raise InputError(
                f"{word}: first_stage.KEY=VALUE was expected, for example first_stage.kind=dense"
            )
    settings: FirstStageSettings = load_collection_recipe("domain", ["collection=stdlib", *words]).first_stage
    return settings


def _fields(words: Sequence[str]) -> dict[str, Any]:
    from crosstune.errors import InputError

    fields = {}
    for word in words:
        name, equals, text = word.partition("=")
        try:
            fields[name] = json.loads(text)
        except ValueError:
            equals = ""
        if not name or not equals:
            raise InputError(
                f"--request-field {word}: NAME=JSON was expected, for example max_completion_tokens=300"
            )
    return fields
