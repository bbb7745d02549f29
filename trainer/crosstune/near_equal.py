"""Which texts equal, or nearly equal, others: case, punctuation and white space set aside.

Symbols count, which are words of code (`==`, `c++`): what Unicode calls a symbol, and not punctuation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import TypeVar

NEAR = 0.9
"""Indel similarity from which two texts are nearly equal."""
LONG = 1000
"""Characters from which a look at the beginnings first is worth it: time grows with the square of them."""

Key = TypeVar("Key")


def normal(text: str) -> str:
    return " ".join("".join(c if _counts(c) else " " for c in text.lower()).split())


def _counts(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "S"


def find_equal(
    known: Mapping[str, str], asked: Mapping[str, str], advance: Callable[[int], None] = lambda _: None
) -> tuple[dict[str, str], dict[str, str]]:
    """Asked id -> known id, for texts that are equal and for those that are nearly equal. A text of which
    nothing is left is equal to none.

    `known`, `asked`: id -> text; `advance` is called with 1 for each asked text."""
    ids = {text: known_id for known_id, raw in known.items() if (text := normal(raw))}
    texts = {text: text for text in ids}
    equal: dict[str, str] = {}
    near: dict[str, str] = {}
    for asked_id, raw in asked.items():
        advance(1)
        text = normal(raw)
        if not text:
            continue
        if text in ids:
            equal[asked_id] = ids[text]
        elif (found := nearest(text, texts)) is not None:
            near[asked_id] = ids[found]
    return equal, near


def nearest(text: str, others: Mapping[Key, str]) -> Key | None:
    """Of the texts that are nearly equal to this one, the most similar; all are `normal`."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    found = process.extractOne(
        text,
        perhaps_near(text, others),
        scorer=Indel.normalized_similarity,
        processor=None,
        score_cutoff=NEAR,
    )
    return found[2] if found else None


def perhaps_near(text: str, others: Mapping[Key, str]) -> Mapping[Key, str]:
    """`others` without those that a short look shows not to be nearly equal to the text."""
    if len(text) < LONG:
        return others
    return {key: other for key, other in others.items() if may_reach(text, other, NEAR)}


def may_reach(one: str, other: str, similarity: float) -> bool:
    """False only where the indel similarity of two texts is below this, found without comparing all of them.

    What turns one text into the other turns the beginning of `count` characters into one of `count + shift`,
    and the rest into the rest. That takes at least the distance of both beginnings of `count` less `|shift|`,
    and at least `|shift|` less the difference in length: the distance of the beginnings less this difference
    is a lower bound.
    """
    from rapidfuzz.distance import Indel

    most = int((1 - similarity) * (len(one) + len(other)) + 1e-6)
    apart = abs(len(one) - len(other))
    if apart > most:
        return False
    longest = max(len(one), len(other))
    for count in (longest // 4, longest // 2):  # texts that have nothing in common show it in a quarter
        if Indel.distance(one[:count], other[:count], score_cutoff=most + apart) > most + apart:
            return False
    return True
