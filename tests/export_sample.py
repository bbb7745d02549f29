"""Queries, candidates and labels of random words, on which the further formats of an export are compared."""

from __future__ import annotations

import random

from crosstune.export import Sample
from models import WORDS


def sample_of_words(passages: int, queries: int) -> Sample:
    """30 candidates a query, 5 of them relevant; every pair is there for calibration."""
    rng = random.Random(5)
    texts = {f"d{i}": " ".join(rng.choices(WORDS, k=rng.randint(1, 20))) for i in range(passages)}
    asked = {f"q{i}": " ".join(rng.choices(WORDS, k=3)) for i in range(queries)}
    candidates = {q: dict.fromkeys(rng.sample(sorted(texts), 30), 0.0) for q in asked}
    qrels = {q: dict.fromkeys(rng.sample(sorted(docs), 5), 1) for q, docs in candidates.items()}
    pairs = [(q, passage) for q in asked.values() for passage in texts.values()]
    return Sample(asked, texts, candidates, qrels, pairs)
