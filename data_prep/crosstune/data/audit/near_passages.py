"""Which passages equal, or nearly equal, others, where there are too many to compare each with each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from crosstune.near_equal import find_equal, nearest, normal

EACH_WITH_EACH = 100_000
"""Pairs up to which all are compared: about a second of abstracts."""
KNOWN_BY, ASKED_BY, SHARED = 8, 32, 2
"""Beyond that a pair is compared when `SHARED` of the known passage's rarest `KNOWN_BY` words are among the
asked one's rarest `ASKED_BY`: docs/decisions.md has what this misses."""
KNOWN_A_WORD = 200
"""Passages that a word leads to, at most: time grows with the passages and not with their pairs."""


def all_compared(known: Sequence[str], asked: Sequence[str]) -> bool:
    return len(known) * len(asked) <= EACH_WITH_EACH


def find_equal_passages(
    known: Mapping[str, str], asked: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Asked id -> known id, for texts that are equal and for those that are nearly equal.

    `known`, `asked`: id -> text."""
    if all_compared(list(known), list(asked)):
        return find_equal(known, asked)
    return _by_rare_words(known, asked)


def _by_rare_words(
    known: Mapping[str, str], asked: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    texts = {known_id: normal(text) for known_id, text in known.items()}
    questions = {asked_id: normal(text) for asked_id, text in asked.items()}
    ids = {text: known_id for known_id, text in texts.items()}
    spread = Counter(word for text in (*texts.values(), *questions.values()) for word in set(text.split()))
    shared_by, needed = _index(texts, spread)
    equal: dict[str, str] = {}
    near: dict[str, str] = {}
    for asked_id, text in questions.items():
        if text in ids:
            equal[asked_id] = ids[text]
            continue
        hits = Counter(d for word in _rarest(text, spread, ASKED_BY) for d in shared_by.get(word, ()))
        candidates = {d: texts[d] for d, count in hits.items() if count >= needed[d]}
        if (found := nearest(text, candidates)) is not None:
            near[asked_id] = found
    return equal, near


def _index(texts: Mapping[str, str], spread: Counter[str]) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Word -> ids of the passages that are found by it; id -> how many such words a near one shares."""
    shared_by: dict[str, list[str]] = defaultdict(list)
    needed: dict[str, int] = {}
    for doc_id, text in texts.items():
        words = _rarest(text, spread, KNOWN_BY)
        needed[doc_id] = max(1, min(SHARED, len(words) // 2))
        for word in words:
            if len(shared_by[word]) < KNOWN_A_WORD:
                shared_by[word].append(doc_id)
    return shared_by, needed


def _rarest(text: str, spread: Counter[str], count: int) -> list[str]:
    return sorted(set(text.split()), key=lambda word: (spread[word], word))[:count]
