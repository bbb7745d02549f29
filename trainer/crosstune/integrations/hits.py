"""What the adapters share."""

from __future__ import annotations

from collections.abc import Sequence

from crosstune.errors import InputError
from crosstune.serve.ranked import RankedDocument, UnscoredDocument

Hit = RankedDocument | UnscoredDocument


def missing_package(module: str, package: str) -> ImportError:
    """The error of an adapter whose framework is not installed."""
    return ImportError(
        f"crosstune.integrations.{module} needs {package}: pip install {package} "
        "(or 'crosstune[integrations]' for all adapters)"
    )


def shown_score(hit: Hit) -> float | None:
    """The score that goes with the order: the probability where the export has a calibration of it, else that
    of the fusion where there was one, else the sigmoid; `None` for a document that the budget did not
    reach."""
    if hit.probability is not None:
        return hit.probability
    return hit.score if hit.fused is None else hit.fused


def first_stage(scores: Sequence[object], what: str) -> list[float]:
    """Raises `InputError` unless every document carries the first stage's score."""
    numbers = [score for score in scores if isinstance(score, int | float)]
    if len(numbers) != len(scores):
        place = next(n for n, score in enumerate(scores) if not isinstance(score, int | float))
        raise InputError(
            f"document {place}: {what} is {scores[place]!r}; fusing needs the first stage's score of every "
            "document"
        )
    return numbers
