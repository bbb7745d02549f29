"""What gives the labels away: dev queries that are trained on, and a word that stands in for the label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crosstune.near_equal import find_equal
from crosstune.records import Collection, Group, Run
from crosstune.train.doctor.thresholds import LEAK_TEXTS, TOLD_ON_DEV, WORD_TELLS

TOKEN = re.compile(r"\w+|[^\w\s]+")
"""A word, or signs beside each other: a marker may be either."""


@dataclass(frozen=True)
class Word:
    """In which share of the texts `word` stands, each text counted once: of training those of the best grade
    of a group and those of lower ones, of dev those that are relevant and the other candidates."""

    word: str
    train_positives: float
    train_negatives: float
    dev_positives: float
    dev_negatives: float

    @property
    def tells(self) -> float:
        """How far training's positives and negatives are apart by it, below 0 where it marks negatives."""
        return self.train_positives - self.train_negatives

    @property
    def leaks(self) -> bool:
        """Whether it tells the label in training, and on dev much less. What tells the reverse there as well
        is a matter of the labels."""
        on_dev = self.dev_positives - self.dev_negatives
        return abs(self.tells) >= WORD_TELLS and abs(on_dev) <= TOLD_ON_DEV * abs(self.tells)


@dataclass(frozen=True)
class Leaks:
    """Of `dev_queries` queries, `equal` have the text of a training query and `near` nearly one; `word` is
    the one that leaks, of several the one that tells most."""

    dev_queries: int = 0
    equal: int = 0
    near: int = 0
    word: Word | None = None


def look_for_leaks(
    groups: Iterable[Group], looked_at: Iterable[Group], collection: Collection, dev: Run
) -> Leaks:
    """Queries are compared with those of all `groups`, texts with those `looked_at`; `dev`: its drawn
    queries with their candidates."""
    trained = {group.query_id: group.query for group in groups}
    equal, near = find_equal(trained, {query_id: collection.queries[query_id] for query_id in dev})
    return Leaks(len(dev), len(equal), len(near), _word(looked_at, collection, dev))


def _word(groups: Iterable[Group], collection: Collection, dev: Run) -> Word | None:
    texts: tuple[set[str], ...] = (set(), set(), set(), set())
    positives, negatives, dev_positives, dev_negatives = texts
    for group in groups:
        best = max(group.labels)
        if best == min(group.labels):
            continue
        for text, label in zip(group.docs, group.labels, strict=True):
            (positives if label == best else negatives).add(text)
    for query_id, candidates in dev.items():
        relevant = {d for d, grade in collection.qrels["dev"][query_id].items() if grade > 0}
        dev_positives.update(collection.passages[d] for d in relevant)
        dev_negatives.update(collection.passages[d] for d in candidates if d not in relevant)
    if min(map(len, texts)) < LEAK_TEXTS:
        return None
    shares = [_shares(kind) for kind in texts]
    words = (Word(word, *(share.get(word, 0.0) for share in shares)) for word in {**shares[0], **shares[1]})
    leaking = [word for word in words if word.leaks]
    return max(leaking, key=lambda word: (abs(word.tells), word.word), default=None)


def _shares(texts: set[str]) -> Mapping[str, float]:
    found = Counter(token for text in texts for token in set(TOKEN.findall(text.lower())))
    return {token: count / len(texts) for token, count in found.items()}
