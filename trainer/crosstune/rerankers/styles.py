"""The six wire formats as a client writes and reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from crosstune.errors import InputError


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
    return {**named, "query": _whole(query), style.texts: [_whole(text) for text in texts], **style.more}


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def address(given: str, style: Style) -> str:
    """Where to post: the address as it is when its path ends in `/rerank`, or else the style's path below it;
    a version (`/v1`) that is there already is not repeated.

    Raises `InputError` for what is no HTTP address, or one with a name and password in it.
    """
    parts = _parts(given)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"--endpoint {_without_login(given)}: http:// or https:// and a host were expected")
    if "@" in parts.netloc:
        raise InputError(
            f"--endpoint {_without_login(given)}: has a login in it; keep keys out of addresses, name the "
            "environment variable that holds the key with --api-key-env NAME"
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/rerank"):
        version, _, _ = style.path.rpartition("/")
        path += style.path.removeprefix(version) if version and path.endswith(version) else style.path
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _parts(given: str) -> SplitResult | None:
    try:
        parts = urlsplit(given)
        return parts if parts.port != 0 else None
    except ValueError:  # of brackets, and of a port that is no number up to 65535
        return None


def shown(url: str) -> str:
    """An address for messages: without its query, where some services take a key."""
    return urlunsplit((*urlsplit(url)[:3], "", ""))


def _without_login(given: str) -> str:
    return given.rpartition("@")[2] if "@" in given else given


@dataclass(frozen=True)
class Billing:
    """What an answer says that it costs: `tokens`, and Cohere's search `units`; `None` where it does not."""

    tokens: int | None
    units: int | None


def billing(payload: Any) -> Billing:
    """Read from `usage.total_tokens`, or from Cohere's `meta`."""
    tokens = _number(payload, "usage", "total_tokens")
    if tokens is None:
        tokens = _number(payload, "meta", "tokens", "input_tokens")
    return Billing(tokens, _number(payload, "meta", "billed_units", "search_units"))


def _number(value: Any, *names: str) -> int | None:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    counts = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53
    return int(value) if counts else None
