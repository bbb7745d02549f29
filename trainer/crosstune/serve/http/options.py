"""What the service may use: every limit in one place, with its unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The settings of `crosstune serve`.

    A request that goes beyond a limit is refused with the limit's name and value in the message.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free port; the first line of the log says which."""
    style: str | None = None
    """Whose wire format the paths without a prefix speak; None: see `wire.BARE`."""
    keys: Path | None = None
    production: bool = False
    """No demo page."""
    log_texts: bool = False
    """Queries and the beginnings of documents in the log."""

    batch_tokens: int = 4096
    """Tokens that are scored together, over all requests that wait."""
    gather_seconds: float = 0.002
    """How long an idle engine waits for a second request before it begins with the first."""
    queue_seconds: float = 10.0
    """Work that may wait, by the measured speed of the engine; beyond it requests get 429."""
    timeout_seconds: float = 30.0
    """From the whole body to the answer; beyond it 503."""

    max_body_bytes: int = 8 << 20
    max_pending_bytes: int = 128 << 20
    """Bodies of all requests in flight together; beyond it 429."""
    max_documents: int = 1000
    max_connections: int = 1000
    read_seconds: float = 10.0
    """For the head of a request, for its body, and for a client to take what was written to it."""

    reload_seconds: float = 2.0
    """How often export folders and the key file are looked at for a change."""
    drain_seconds: float = 0.0
    """After SIGTERM: how long `/ready` says 503 while requests are still taken."""
    shutdown_seconds: int = 30
    """After that: how long the requests in flight may take."""
