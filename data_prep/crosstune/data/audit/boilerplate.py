"""Phrases that stand in so many passages that they tell none apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

WORDS = 8
AT_LEAST = 20
SHARE = 0.01
SAMPLE = 20_000
SHOWN = 20


def find_boilerplate(passages: Mapping[str, str]) -> dict[str, int]:
    """Sequences of eight words -> passages that hold them, where these are at least 20 and 1 % of an even
    sample of at most 20,000. Of sequences that overlap, the most frequent one is named."""
    texts = list(passages.values())
    sample = [text.lower().split() for text in texts[:: max(1, len(texts) // SAMPLE)]]
    counts: Counter[int] = Counter()
    for words in sample:
        counts.update({hash(phrase) for phrase in _phrases(words)})
    limit = max(AT_LEAST, SHARE * len(sample))
    frequent = {phrase for phrase, count in counts.items() if count >= limit}
    found: dict[str, int] = {}
    for words in sample:
        held = [phrase for phrase in _phrases(words) if hash(phrase) in frequent]
        if held:
            best = max(held, key=lambda phrase: counts[hash(phrase)])
            found[" ".join(best)] = counts[hash(best)]
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:SHOWN])


def _phrases(words: list[str]) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)]
