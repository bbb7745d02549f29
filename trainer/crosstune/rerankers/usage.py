"""What a reranker took: time, requests, failures, money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crosstune.rerankers.settings import EndpointSettings
from crosstune.rerankers.store import Answer


@dataclass(frozen=True)
class Usage:
    """`p50_ms` and `p95_ms`: a request, by the attempt that was answered; `requests`: that the scores are
    from; `kept`: of them, from earlier calls; `failed`: attempts without an answer; `price`: of all requests,
    `None` where none was given or the answers lack the figure that it is by."""

    p50_ms: float | None
    p95_ms: float | None
    requests: int
    kept: int
    failed: int
    tokens: int | None
    price: float | None


def usage(answers: Sequence[Answer], settings: EndpointSettings | None) -> Usage:
    """Sums up one reranker's answers. A search unit of Cohere's is what `per_1000` prices, where an answer
    names it; otherwise a request is."""
    milliseconds = [answer.milliseconds for answer in answers]
    p50, p95 = np.percentile(milliseconds, [50, 95]).tolist() if milliseconds else (None, None)
    counts = [answer.tokens for answer in answers if answer.tokens is not None]
    tokens = sum(counts) if len(counts) == len(answers) and answers else None
    return Usage(
        p50,
        p95,
        len(answers),
        sum(answer.kept for answer in answers),
        sum(answer.failures for answer in answers),
        tokens,
        _price(answers, settings, tokens) if settings else None,
    )


def _price(answers: Sequence[Answer], settings: EndpointSettings, tokens: int | None) -> float | None:
    if settings.per_1000 is not None:
        units = sum(answer.units if answer.units is not None else 1 for answer in answers)
        return settings.per_1000 * units / 1000
    if settings.per_million_tokens is not None and tokens is not None:
        return settings.per_million_tokens * tokens / 1e6
    return None
