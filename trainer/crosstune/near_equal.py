"""Which texts equal, or nearly equal, others: case, punctuation and white space set aside.

Symbols count, which are words of code (`==`, `c++`): what Unicode calls a symbol, and not punctuation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

NEAR = 0.9
"""Indel similarity from which two texts are nearly equal."""


def normal(text: str) -> str:
    return " ".join("".join(c if _counts(c) else " " for c in text.lower()).split())


def _counts(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "S"


def find_equal(known: Mapping[str, str], asked: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Asked id -> known id, for texts that are equal and for those that are nearly equal. A text of which
    nothing is left is equal to none.

    `known`, `asked`: id -> text."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    ids = {text: known_id for known_id, raw in known.items() if (text := normal(raw))}
    texts = list(ids)
    equal: dict[str, str] = {}
    near: dict[str, str] = {}
    for asked_id, raw in asked.items():
        text = normal(raw)
        if not text:
            continue
        if text in ids:
            equal[asked_id] = ids[text]
        elif found := process.extractOne(
            text, texts, scorer=Indel.normalized_similarity, processor=None, score_cutoff=NEAR
        ):
            near[asked_id] = ids[found[0]]
    return equal, near
