"""How a service is asked."""

from __future__ import annotations

from dataclasses import dataclass


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
