"""Long texts: what is found without comparing them in full is what the plain computation says."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Indel

from crosstune.data.mining import copies
from crosstune.data.mining.copies import NearCopies
from crosstune.near_equal import NEAR, find_equal, may_reach
from training import random_text

SHORT = st.text("ab ", max_size=24)
THRESHOLD = st.sampled_from([0.1, 0.5, 0.75, NEAR, 1.0])


@settings(max_examples=1000, deadline=None)
@given(SHORT, SHORT, st.floats(0, 1))
def test_no_text_that_is_near_enough_is_left_out(one: str, other: str, similarity: float) -> None:
    if Indel.normalized_similarity(one, other) >= similarity:
        assert may_reach(one, other, similarity)
    assert may_reach(one, other, Indel.normalized_similarity(one, other))


def _edited(text: str, share: float, rng: random.Random) -> str:
    """Pieces of it, about a `share` of its characters, moved to another place or left out."""
    for _ in range(3):
        start, size = rng.randrange(len(text)), int(len(text) * share / 3)
        piece, text = text[start : start + size], text[:start] + text[start + size :]
        place = rng.randrange(len(text) + 1)
        text = text[:place] + rng.choice([piece, ""]) + text[place:]
    return text


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.4))
def test_near_equal_long_texts_are_those_of_the_plain_computation(seed: int, share: float) -> None:
    rng = random.Random(seed)
    texts = [random_text(rng, 400) for _ in range(3)]
    known = {str(number): text for number, text in enumerate(texts)}
    asked = {"edited": _edited(texts[1], share, rng), "new": random_text(rng, 400)}
    expected = {}
    for asked_id, text in asked.items():
        alike = {known_id: Indel.normalized_similarity(text, other) for known_id, other in known.items()}
        best = max(alike, key=alike.__getitem__)
        if text not in texts and alike[best] >= NEAR:
            expected[asked_id] = best
    assert find_equal(known, asked)[1] == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(SHORT, max_size=4), SHORT, THRESHOLD, st.sampled_from([-1, 8, 100]))
def test_copies_are_those_of_the_plain_computation(
    texts: list[str], text: str, threshold: float, long: int
) -> None:
    alike = [
        (Indel.normalized_similarity(*pair), min(map(len, pair)) > long)
        for pair in ((copies.normal(text), copies.normal(other)) for other in texts)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "LONG", long)
        found = NearCopies(texts, threshold).similarity(text)
    told = [value for value, both_long in alike if value >= threshold or not both_long]
    assert found == max(told, default=0.0)


def test_long_texts_with_nothing_in_common_are_not_compared_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    one, other, compared = random_text(rng, 2000), random_text(rng, 2000), []
    distance = Indel.distance

    def watched(first: str, second: str, **options: int) -> int:
        compared.append(max(len(first), len(second)))
        return int(distance(first, second, **options))

    monkeypatch.setattr(Indel, "distance", watched)
    monkeypatch.setattr(Indel, "normalized_similarity", None)
    assert not may_reach(one, other, NEAR)
    assert NearCopies([other], NEAR).similarity(one) == 0
    assert max(compared) <= len(one) / 2
