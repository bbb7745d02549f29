"""How much a text repeats another: rapidfuzz's normalised indel similarity, 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence

from crosstune.near_equal import may_reach

LONG = 5_000
"""Characters from which two texts are only compared as far as the threshold asks for: time grows with the
square of them, and the exact value of two texts of a megabyte takes ten seconds."""


class NearCopies:
    """Compares texts with `texts`, case and white space aside."""

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        self._texts = [normal(text) for text in texts]
        self._threshold = threshold

    def similarity(self, text: str) -> float:
        """Similarity to the most similar of the texts; of two long ones 0 when below the threshold."""
        from rapidfuzz.distance import Indel

        text = normal(text)
        best = 0.0
        for other in self._texts:
            least = best
            if min(len(text), len(other)) > LONG:
                least = max(best, self._threshold)
                if not may_reach(text, other, least):
                    continue
            best = max(best, Indel.normalized_similarity(text, other, score_cutoff=least))
        return best


def normal(text: str) -> str:
    return " ".join(text.lower().split())
