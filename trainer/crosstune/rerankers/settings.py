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
