"""Queries and grades out of what a model said; `None` for what is neither. Nothing is guessed."""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST_QUERY = 400
"""Characters: what is longer is no query but a text about it."""


def queries_of(text: str, most: int) -> list[str] | None:
    """At most `most` queries of a JSON list of strings, or of such a list under `queries`."""
    value = _json(text)
    if isinstance(value, dict):
        value = value.get("queries")
    if not isinstance(value, list) or not all(isinstance(query, str) for query in value):
        return None
    found = dict.fromkeys(clean for query in value if (clean := clean_query(query)))
    return list(found)[:most] or None


def clean_query(text: str) -> str:
    """White space brought to single spaces; nothing of a text that is too long to be a query."""
    words = " ".join(text.encode("utf-8", "replace").decode().split())
    return words if len(words) <= LONGEST_QUERY else ""


def grade_of(text: str, highest: int) -> int | None:
    """A whole number from 0 to `highest`, alone or under `grade`."""
    value = _json(text)
    if isinstance(value, dict):
        value = value.get("grade")
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= highest else None


def _json(text: str) -> Any:
    """The JSON of an answer, which may stand in a code fence or behind what a model thought aloud."""
    text = re.sub(r"^.*</think>", "", text, flags=re.DOTALL).strip()
    fenced = re.fullmatch(r"```\w*\s*\n(.*)\n\s*```", text, flags=re.DOTALL)
    try:
        return json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return None
