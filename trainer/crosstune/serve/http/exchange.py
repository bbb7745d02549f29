"""One request and its answer: what the log line, the headers and the metrics are made of."""

from __future__ import annotations

import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass
class Exchange:
    """Filled on the way through: the gate knows the key, the service the model and the work."""

    request_id: str
    method: str
    route: str
    style: str
    started: float = field(default_factory=time.perf_counter)
    status: int = 0
    key: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    search_seconds: float | None = None
    queue_seconds: float | None = None
    score_seconds: float | None = None

    @property
    def stages(self) -> dict[str, float]:
        """Seconds of the stages that it went through, by name."""
        found = {"search": self.search_seconds, "queue": self.queue_seconds, "score": self.score_seconds}
        return {name: value for name, value in found.items() if value is not None}


CURRENT: ContextVar[Exchange] = ContextVar("exchange")


def request_id(given: str | None) -> str:
    """The client's own id where it is short and plain; else a new one."""
    return given if given and REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
