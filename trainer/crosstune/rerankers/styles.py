"""The six wire formats as a client writes and reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlunsplit

from crosstune.endpoints.address import checked, whole
from crosstune.endpoints.answers import count_in


@dataclass(frozen=True)
class Style:
    """A wire format.

    `path`: below a base address; `texts`: the request's field of documents; `rows`: the answer's field of
    results (`None`: the answer is the list itself); `score`: a result's field; `documents`: at most so many a
    request; `more`: fields that make the answer short, its scores unrounded and long texts cut, not refused.
    """

    name: str
    path: str
    rows: str | None = "results"
    texts: str = "documents"
    score: str = "relevance_score"
    documents: int = 1000
    needs_model: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


STYLES: dict[str, Style] = {
    style.name: style
    for style in (
        Style("cohere", "/v2/rerank", needs_model=True),
        Style("jina", "/v1/rerank", needs_model=True, more={"return_documents": False}),
        Style(
            "voyage",
            "/v1/rerank",
            rows="data",
            needs_model=True,
            more={"return_documents": False, "truncation": True},
        ),
        Style(
            "tei",
            "/rerank",
            rows=None,
            texts="texts",
            score="score",
            documents=32,
            more={"raw_scores": True, "truncate": True},
        ),
        Style("infinity", "/rerank", more={"return_documents": False, "raw_scores": True}),
        Style("vllm", "/v1/rerank", more={"truncate_prompt_tokens": -1}),
    )
}


def request_body(style: Style, model: str | None, query: str, texts: Sequence[str]) -> dict[str, Any]:
    """The body of one request; half characters, which JSON cannot send, become question marks."""
    named = {"model": model} if model else {}
    return {**named, "query": whole(query), style.texts: [whole(text) for text in texts], **style.more}


def address(given: str, style: Style, option: str = "--endpoint") -> str:
    """Where to post: the address as it is when its path ends in `/rerank`, or else the style's path below it;
    a version (`/v1`) that is there already is not repeated.

    Raises `InputError` for what is no HTTP address, or one with a name and password in it; it names
    `option`.
    """
    parts = checked(given, option)
    path = parts.path.rstrip("/")
    if not path.endswith("/rerank"):
        version, _, _ = style.path.rpartition("/")
        path += style.path.removeprefix(version) if version and path.endswith(version) else style.path
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


@dataclass(frozen=True)
class Billing:
    """What an answer says that it costs: `tokens`, and Cohere's search `units`; `None` where it does not."""

    tokens: int | None
    units: int | None


def billing(payload: Any) -> Billing:
    """Read from `usage.total_tokens`, or from Cohere's `meta`."""
    tokens = count_in(payload, "usage", "total_tokens")
    if tokens is None:
        tokens = count_in(payload, "meta", "tokens", "input_tokens")
    return Billing(tokens, count_in(payload, "meta", "billed_units", "search_units"))
