"""Options of every command that asks a service over HTTP."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from crosstune.endpoints.load import Load

PANEL = "Endpoints and other models"

ConcurrencyOption = Annotated[
    int | None, typer.Option(min=1, rich_help_panel=PANEL, help="Requests at once (4).")
]
RateOption = Annotated[
    float | None,
    typer.Option(
        "--requests-per-minute", min=0.1, rich_help_panel=PANEL, help="At most; without it no limit."
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout-seconds", min=0.1, rich_help_panel=PANEL, help="For an answer (60)."),
]
AttemptsOption = Annotated[
    int | None,
    typer.Option(min=1, rich_help_panel=PANEL, help="At 429, 5xx and broken connections, of a request (6)."),
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", rich_help_panel=PANEL, help="Ask again what earlier calls were answered.")
]


def api_key(variable: str | None) -> str | None:
    """What the environment variable that `--api-key-env` names holds. Raises `InputError` when it is not set
    or cannot stand in a header."""
    from crosstune.errors import InputError

    if not variable:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"--api-key-env {variable}: this environment variable is not set or empty")
    if not key.isascii() or not key.isprintable():
        raise InputError(f"--api-key-env {variable}: its value has characters that no HTTP header can hold")
    return key


def load_of(given: Mapping[str, Any]) -> Load:
    """The words of the command line over the defaults."""
    from crosstune.endpoints.load import Load

    names = {
        "concurrency": "--concurrency", "per_minute": "--requests-per-minute",
        "timeout_seconds": "--timeout-seconds", "attempts": "--attempts", "fresh": "--fresh",
    }  # fmt: skip
    return Load(**{field: given[name] for field, name in names.items() if given[name]})
