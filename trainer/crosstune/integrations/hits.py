"""What the adapters share."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from crosstune.errors import InputError
from crosstune.serve import Reranker
from crosstune.serve.fusion import is_finite_number
from crosstune.serve.ranked import RankedDocument, UnscoredDocument

Hit = RankedDocument | UnscoredDocument


def missing_package(module: str, package: str) -> ImportError:
    """The error of an adapter whose framework is not installed."""
    return ImportError(
        f"crosstune.integrations.{module} needs {package}: pip install {package} "
        "(or 'crosstune[integrations]' for all adapters)"
    )


def open_reranker(export: str, backend: str, *, fuse: bool) -> Reranker:
    """Warns where the first stage's scores are to be fused and the export keeps no fusion."""
    reranker = Reranker(export, backend)
    if fuse and reranker.fusion is None:
        warnings.warn(
            f"{export}: keeps no fusion, since it did not help on dev; "
            "ranked without the first stage's scores",
            stacklevel=3,
        )
    return reranker


def shown_score(hit: Hit) -> float | None:
    """The score that goes with the order: the probability where the export has a calibration of it, else that
    of the fusion where there was one, else the sigmoid; `None` for a document that the budget did not
    reach."""
    if hit.probability is not None:
        return hit.probability
    return hit.score if hit.fused is None else hit.fused


def first_stage(scores: Sequence[object], what: str) -> list[float]:
    """Raises `InputError` unless every document carries the first stage's score."""
    for place, score in enumerate(scores):
        if not is_finite_number(score):
            raise InputError(
                f"document {place}: {what} is {score!r}; fusing needs the first stage's score of every "
                "document"
            )
    return [float(score) for score in scores]  # type: ignore[arg-type]
