"""The service on Ray Serve: `deploy/ray_serve.yaml` names `app` and its settings.

Each replica is the whole application, with its models, queue, limits, keys and hot reload; Ray Serve's proxy
spreads the requests, and replaces a replica that is gone.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import serve
from starlette.types import ASGIApp

from crosstune.errors import InputError
from crosstune.serve.http.app import create_app
from crosstune.serve.http.keys import Keys
from crosstune.serve.http.logs import log
from crosstune.serve.http.model import load, sources
from crosstune.serve.http.options import Options
from crosstune.serve.http.service import Service
from crosstune.serve.http.wire import check_style

OWN = {"exports", "backends"}
ELSEWHERE = {
    "host": "http_options: {host: ...}",
    "port": "http_options: {port: ...}",
    "max_connections": "max_ongoing_requests of the deployment",
    "drain_seconds": "graceful_shutdown_wait_loop_s of the deployment",
    "shutdown_seconds": "graceful_shutdown_timeout_s of the deployment",
    "backend": "backends, a list",
}
"""Options of the service that are Ray Serve's here, or have another name."""


def app(settings: Mapping[str, Any]) -> serve.Application:
    """`settings`: `exports` (as the words of `crosstune serve`), `backends`, and any field of `Options` but
    for those of `ELSEWHERE`.

    Raises `InputError` for others. The folders are read on the machine of each replica.
    """
    known = (OWN | {field.name for field in dataclasses.fields(Options)}) - set(ELSEWHERE)
    if misplaced := [f"{name} (use {ELSEWHERE[name]})" for name in settings if name in ELSEWHERE]:
        raise InputError(f"args: not taken on Ray Serve: {', '.join(misplaced)}")
    if unknown := sorted(set(settings) - known):
        raise InputError(f"args: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    exports, backends = list(settings.get("exports") or []), list(settings.get("backends") or [])
    if not exports:
        raise InputError(
            "args: exports is missing; give export folders, for example [reranker=/models/reranker]"
        )
    chosen: dict[str, Any] = {"production": True, **{k: v for k, v in settings.items() if k not in OWN}}
    if chosen.get("keys") is not None:
        chosen["keys"] = Path(chosen["keys"])
    options = Options(**chosen)
    check_style(options.style, "args: style")

    def build() -> ASGIApp:
        models = sources(exports, backends)
        service = Service({name: load(name, of.folder, of.backend) for name, of in models.items()}, options)
        log("serving", models=list(service.engines), process=os.getpid())
        return create_app(service, models, Keys(options.keys) if options.keys else None)

    class Replica:
        """A process with the models."""

    return serve.deployment(name="Reranker")(serve.ingress(build)(Replica)).bind()
