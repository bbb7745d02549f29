"""Which texts equal, or nearly equal, others: case, punctuation and white space set aside."""

from __future__ import annotations

from collections.abc import Mapping

NEAR = 0.9
"""Indel similarity from which two texts are nearly equal."""


def normal(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def find_equal(known: Mapping[str, str], asked: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Asked id -> known id, for texts that are equal and for those that are nearly equal.

    `known`, `asked`: id -> text."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    ids = {normal(text): known_id for known_id, text in known.items()}
    texts = list(ids)
    equal: dict[str, str] = {}
    near: dict[str, str] = {}
    for asked_id, raw in asked.items():
        text = normal(raw)
        if text in ids:
            equal[asked_id] = ids[text]
        elif found := process.extractOne(
            text, texts, scorer=Indel.normalized_similarity, processor=None, score_cutoff=NEAR
        ):
            near[asked_id] = ids[found[0]]
    return equal, near
