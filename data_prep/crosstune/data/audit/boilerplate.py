"""Phrases that stand in so many passages that they tell none apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

WORDS = 8
AT_LEAST = 20
SHARE = 0.01
SAMPLE = 20_000
SHOWN = 20
IDS = 5


@dataclass
class Phrase:
    """`passages`: how many of the sample hold it; `ids`: the first of them."""

    passages: int
    ids: list[str] = field(default_factory=list)


def find_boilerplate(passages: Mapping[str, str]) -> dict[str, Phrase]:
    """Sequences of eight words that at least 20 passages hold, and 1 % of an even sample of at most some
    20,000. Of sequences that overlap, the most frequent one is named."""
    drawn = list(passages)[:: max(1, len(passages) // SAMPLE)]
    sample = [passages[doc_id].lower().split() for doc_id in drawn]
    counts: Counter[int] = Counter()
    for words in sample:
        counts.update({hash(phrase) for phrase in _phrases(words)})
    limit = max(AT_LEAST, SHARE * len(sample))
    frequent = {phrase for phrase, count in counts.items() if count >= limit}
    found: dict[str, Phrase] = {}
    for words in sample:
        held = [phrase for phrase in _phrases(words) if hash(phrase) in frequent]
        if held:
            best = max(held, key=lambda phrase: counts[hash(phrase)])
            found[" ".join(best)] = Phrase(counts[hash(best)])
    shown = dict(sorted(found.items(), key=lambda item: (-item[1].passages, item[0]))[:SHOWN])
    for doc_id, words in zip(drawn, sample, strict=True):
        for phrase in {" ".join(phrase) for phrase in _phrases(words)} & shown.keys():
            if len(shown[phrase].ids) < IDS:
                shown[phrase].ids.append(doc_id)
    return shown


def _phrases(words: list[str]) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)]
