"""How a reranker behind an address is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from crosstune.rerankers.styles import Style


@dataclass(frozen=True)
class EndpointSettings:
    """`label`: its row in the table; `url`: where to post; `documents`: at most so many a request; `key`: of
    the API; `per_1000` and `per_million_tokens`: prices, in whatever currency."""

    label: str
    url: str
    style: Style
    model: str | None
    documents: int
    key: str | None = field(default=None, repr=False)
    per_1000: float | None = None
    per_million_tokens: float | None = None


@dataclass(frozen=True)
class Load:
    """How an endpoint is asked: so many requests at once, so many a minute at most (`None`: no limit), each
    for so long and so often; `fresh`: kept answers are not used; `resumes`: whether the next call finds what
    this one was answered."""

    concurrency: int = 4
    per_minute: float | None = None
    timeout_seconds: float = 60.0
    attempts: int = 6
    fresh: bool = False
    resumes: bool = True
