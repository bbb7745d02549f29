"""How much a text repeats another: rapidfuzz's normalised indel similarity, 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence

LONG = 20_000
"""Characters from which two texts are only compared as far as the threshold asks for: the exact value of
two texts of a megabyte takes ten seconds."""


class NearCopies:
    """Compares texts with `texts`, case and white space aside."""

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        self._texts = [normal(text) for text in texts]
        self._threshold = threshold

    def similarity(self, text: str) -> float:
        """Similarity to the most similar of the texts; 0 for a long text that is below the threshold."""
        from rapidfuzz.distance import Indel

        text = normal(text)
        return max(
            (
                Indel.normalized_similarity(text, other, score_cutoff=self._cutoff(text, other))
                for other in self._texts
            ),
            default=0.0,
        )

    def _cutoff(self, text: str, other: str) -> float | None:
        return self._threshold if min(len(text), len(other)) > LONG else None


def normal(text: str) -> str:
    return " ".join(text.lower().split())
