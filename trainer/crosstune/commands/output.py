"""What commands print as JSON, on any terminal and into any pipe."""

from __future__ import annotations

import json
import sys

import typer


def echo_json(value: object) -> None:
    """Texts as they are, or with escapes where standard output cannot say one of them: half a character, or
    any but English letters where its encoding has no more."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, allow_nan=False)
    typer.echo(text)
