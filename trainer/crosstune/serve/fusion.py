"""The model's logit and the first stage's score as one score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crosstune.errors import InputError


@dataclass(frozen=True)
class Fusion:
    """`weight`: of the standardised first-stage score, in units of the logit."""

    weight: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"the weight of the first stage is {self.weight}; at least 0 was expected")

    def fuse(self, logits: Sequence[float], first_stage: Sequence[float]) -> list[float]:
        """`logit + weight * z(first-stage score)` for the documents of one query, fp32."""
        return self.add(logits, standardised(first_stage))

    def add(self, logits: Sequence[float], z: NDArray[np.float64]) -> list[float]:
        """The same where the scores are standardised already, over more documents than have a logit."""
        fused: list[float] = (
            (np.asarray(logits, dtype=np.float64) + self.weight * z).astype(np.float32).tolist()
        )
        return fused


def standardised(scores: Sequence[float]) -> NDArray[np.float64]:
    """The scores of one query's candidates with mean 0 and standard deviation 1 (Montague & Aslam 2001);
    all 0 where they do not differ. `[docs]`."""
    values = np.asarray(scores, dtype=np.float64)
    if not len(values) or values.min() == values.max():
        return np.zeros(len(values))
    scaled = values / np.abs(values).max()  # so that no sum or square leaves the range
    centred = scaled - scaled.mean()
    z: NDArray[np.float64] = centred / np.sqrt((centred**2).mean())
    return z


def checked_scores(scores: Sequence[float], documents: int) -> list[float]:
    """The caller's first-stage scores. Raises `InputError` unless there is a finite number a document."""
    if len(scores) != documents:
        raise InputError(f"first_stage_scores: found {len(scores)} scores for {documents} documents")
    for index, score in enumerate(scores):
        if not is_finite_number(score):
            raise InputError(f"first_stage_scores: entry {index} is {score!r}; a finite number was expected")
    return [float(score) for score in scores]


def is_finite_number(value: object) -> bool:
    """Whether a value is a number that fp64 can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # an int that fp64 cannot hold
        return False
