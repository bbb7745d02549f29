"""The options of `crosstune evaluate` that name rerankers of others, and the request that they make up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer

from crosstune.commands.endpoint_options import PANEL, api_key, load_of

if TYPE_CHECKING:
    from crosstune.benchmark import Request
    from crosstune.rerankers.settings import EndpointSettings

EACH = "One for all endpoints, or one each."

EndpointOption = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint", metavar="[NAME=]URL", rich_help_panel=PANEL,
        help="Rerank the run's candidates by this HTTP service; several times.",
    ),
]  # fmt: skip
StyleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--style", rich_help_panel=PANEL,
        help=f"Its wire format: cohere, jina, voyage, tei, infinity or vllm. {EACH}",
    ),
]  # fmt: skip
ModelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME", rich_help_panel=PANEL, help=f"Model to ask for; '' for none. {EACH}"
    ),
]
KeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--api-key-env", metavar="NAME", rich_help_panel=PANEL,
        help=f"Environment variable that holds the key; '' for none. {EACH}",
    ),
]  # fmt: skip
PriceOption = Annotated[
    list[float] | None,
    typer.Option(
        "--price-per-1000", min=0, metavar="PRICE", rich_help_panel=PANEL,
        help=f"Of 1,000 requests, or of 1,000 search units where answers bill them. {EACH}",
    ),
]  # fmt: skip
TokenPriceOption = Annotated[
    list[float] | None,
    typer.Option(
        "--price-per-million-tokens", min=0, metavar="PRICE", rich_help_panel=PANEL,
        help=f"Of a million tokens, as answers count them. {EACH}",
    ),
]  # fmt: skip
RerankerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reranker", metavar="[NAME=]PACKAGE:NAME", rich_help_panel=PANEL,
        help="Rerank by a library: sentence-transformers, flashrank or rerankers; several times.",
    ),
]  # fmt: skip
CollectionOption = Annotated[
    str | None,
    typer.Option(
        metavar="KIND:PATH", rich_help_panel=PANEL,
        help="Where the texts are: beir:PATH, or what crosstune convert reads.",
    ),
]  # fmt: skip
SplitOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=PANEL, help="Judgements of --collection: train, dev or test (test)."),
]
CorpusOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=PANEL, help="corpus.jsonl, with --queries, for --collection."
    ),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        "--documents-per-request", min=1, rich_help_panel=PANEL, help="At most (tei 32, others 1000)."
    ),
]
WriteRunOption = Annotated[
    Path | None,
    typer.Option(
        "--write-run", metavar="PATH", rich_help_panel=PANEL,
        help="The reranked run as a TREC file; with several rerankers a folder of them.",
    ),
]  # fmt: skip

T = TypeVar("T")


def benchmark_request(run: Path, given: Mapping[str, Any], seed: int, resamples: int) -> Request:
    """What the words ask for. Raises `InputError` for words that cannot be followed."""
    from crosstune.benchmark import DEPTH, Request
    from crosstune.errors import InputError

    depths = given["--depth"] or [DEPTH]
    if len(depths) > 1:
        raise InputError(f"--depth is given {len(depths)} times; candidates are reranked to one depth")
    return Request(
        run=run,
        endpoints=_endpoints(given),
        libraries=_libraries(given["--reranker"] or []),
        collection=given["--collection"],
        split=given["--split"] or "test",
        queries=given["--queries"],
        corpus=given["--corpus"],
        qrels=given["--qrels"],
        measures=tuple(given["--measure"] or ()),
        relevant_from=given["--relevant-from"],
        depth=depths[0],
        load=load_of(given),
        write_run=given["--write-run"],
        out=given["--out"],
        seed=seed,
        resamples=resamples,
    )


def _endpoints(given: Mapping[str, Any]) -> tuple[EndpointSettings, ...]:
    """Raises `InputError` for an address, style, model or key that is missing or cannot be used."""
    urls = given["--endpoint"] or []
    each = {
        name: _each(name, given[name] or [], len(urls))
        for name in ("--style", "--model", "--api-key-env", "--price-per-1000", "--price-per-million-tokens")
    }
    return tuple(
        _endpoint(
            "--endpoint", word, given["--documents-per-request"], {name: each[name][place] for name in each}
        )
        for place, word in enumerate(urls)
    )


def endpoint_settings(
    option: str, word: str, style: str, model: str | None, api_key_env: str | None, documents: int | None
) -> EndpointSettings:
    """Of one endpoint, which `option` names. Raises `InputError` as `benchmark_request` does."""
    own = {"--style": style, "--model": model, "--api-key-env": api_key_env}
    return _endpoint(option, word, documents, own)


def _endpoint(option: str, word: str, documents: int | None, own: Mapping[str, Any]) -> EndpointSettings:
    from crosstune.endpoints.address import shown
    from crosstune.errors import InputError
    from crosstune.rerankers.settings import EndpointSettings
    from crosstune.rerankers.styles import STYLES, address

    name, url = _named(word)
    style = STYLES.get(own["--style"])
    if style is None:
        what = "no such wire format" if own["--style"] else "its wire format is needed"
        where = f"--style {own['--style']}" if own["--style"] else f"{option} {name or 'URL'}"
        raise InputError(f"{where}: {what}; --style is one of {', '.join(STYLES)}")
    where = address(url, style, option)
    model = own["--model"] or None
    if style.needs_model and model is None:
        raise InputError(
            f"{option} {shown(where)}: a request of the style {style.name} names a model: --model NAME"
        )
    return EndpointSettings(
        name or f"{style.name} {model or urlsplit(where).netloc}",
        where,
        style,
        model,
        documents or style.documents,
        api_key(own["--api-key-env"]),
        own.get("--price-per-1000"),
        own.get("--price-per-million-tokens"),
    )


def _libraries(words: Sequence[str]) -> dict[str, str]:
    """Label -> `PACKAGE:NAME`. Raises `InputError` for a label given twice."""
    from crosstune.errors import InputError

    found: dict[str, str] = {}
    for word in words:
        name, spec = _named(word)
        package, _, model = spec.partition(":")
        label = name or f"{package} {Path(model).name if Path(model).is_dir() else model}"
        if label in found:
            raise InputError(
                f"--reranker {word}: {label!r} names two rows; give one a name: NAME=PACKAGE:NAME"
            )
        found[label] = spec
    return found


def _named(word: str) -> tuple[str | None, str]:
    """`NAME=REST` apart; a `=` within an address or a path names nothing."""
    match = re.fullmatch(r"([^=:/]+)=(.+)", word)
    return (match[1].strip(), match[2]) if match else (None, word)


def _each(name: str, values: Sequence[T], count: int) -> list[Any]:
    from crosstune.errors import InputError

    if len(values) <= 1:
        return [values[0] if values else None] * count
    if len(values) != count:
        raise InputError(
            f"{name} is given {len(values)} times for {count} endpoints: once for all, or once each"
        )
    return list(values)
