"""What a logit, or a fused score, means: the probability that its document is relevant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np

from crosstune.serve.fusion import is_finite_number

Kind = Literal["logit", "fused"]
"""What documents are ranked by: the model's logit, or the logit together with the first stage's score."""
KINDS: tuple[Kind, ...] = ("logit", "fused")


class Curve(Protocol):
    """A function that never falls, so that no order changes."""

    def probabilities(self, values: Sequence[float]) -> list[float]:
        """0 to 1, one a value."""
        ...


@dataclass(frozen=True)
class Temperature:
    """`sigmoid(value / temperature)` (Guo et al. 2017, arXiv:1706.04599)."""

    temperature: float

    def __post_init__(self) -> None:
        _check_number("temperature", self.temperature, above=0.0)

    def probabilities(self, values: Sequence[float]) -> list[float]:
        return [sigmoid(value / self.temperature) for value in values]


@dataclass(frozen=True)
class Platt:
    """`sigmoid(slope * value + intercept)` (Platt 1999, "Probabilistic outputs for support vector
    machines")."""

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        _check_number("slope", self.slope, above=0.0)
        _check_number("intercept", self.intercept)

    def probabilities(self, values: Sequence[float]) -> list[float]:
        return [sigmoid(self.slope * value + self.intercept) for value in values]


@dataclass(frozen=True)
class Isotonic:
    """Straight lines between points (Zadrozny & Elkan 2002, doi:10.1145/775047.775151); beyond the first and
    the last the probability stays. `values` rise, `heights` are probabilities that never fall."""

    values: tuple[float, ...]
    heights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values or len(self.values) != len(self.heights):
            raise ValueError(
                f"found {len(self.values)} values and {len(self.heights)} heights; at least one of each, "
                "and as many, were expected"
            )
        for place, (value, height) in enumerate(zip(self.values, self.heights, strict=True)):
            _check_number(f"values[{place}]", value)
            _check_probability(f"heights[{place}]", height)
        for place, (before, after) in enumerate(pairwise(self.values), start=1):
            if not before < after:
                raise ValueError(f"values[{place}] is {after} after {before}; rising values were expected")
        for place, (before, after) in enumerate(pairwise(self.heights), start=1):
            if not before <= after:
                raise ValueError(f"heights[{place}] falls to {after} from {before}; the order would change")

    def probabilities(self, values: Sequence[float]) -> list[float]:
        points, heights = np.array(self.values), np.array(self.heights)
        place = np.searchsorted(points, values, side="right")
        last = len(points) - 1
        # Rounding on a line may lead beyond its ends.
        low, high = heights[np.clip(place - 1, 0, last)], heights[np.clip(place, 0, last)]
        found: list[float] = np.clip(np.interp(values, points, heights), low, high).tolist()
        return found


CURVES: dict[str, type[Temperature | Platt | Isotonic]] = {
    "temperature": Temperature,
    "platt": Platt,
    "isotonic": Isotonic,
}


@dataclass(frozen=True)
class Scale:
    """How values of one kind become probabilities. `threshold`: the probability from which on a document
    counts, `None` where the recipe names no precision or recall."""

    method: str
    curve: Curve
    threshold: float | None


def sigmoid(value: float) -> float:
    """Never falls, rounding included."""
    return 1 / (1 + math.exp(-value)) if value >= 0 else 1 - 1 / (1 + math.exp(value))


def read_scales(calibration: object, threshold: object, *, fused: bool) -> dict[Kind, Scale]:
    """The scales of a manifest's `calibration` and `threshold`, both of which may be `None`; `fused`: whether
    it keeps a fusion. Raises `ValueError` that names the key, and `TypeError` for keys that do not belong."""
    curves, thresholds = _entries("calibration", calibration), _entries("threshold", threshold)
    thresholds.pop("wanted", None)
    for name, entries in (("calibration", curves), ("threshold", thresholds)):
        if unknown := sorted(set(entries) - set(KINDS)):
            raise ValueError(f"{name}.{unknown[0]} is not known; {', '.join(KINDS)} were expected")
    if "fused" in curves and not fused:
        raise ValueError("calibration.fused stands there without a fusion")
    if alone := sorted(set(thresholds) - set(curves)):
        raise ValueError(f"threshold.{alone[0]} stands there without calibration.{alone[0]}")
    scales: dict[Kind, Scale] = {}
    for kind in KINDS:
        if kind in curves:
            method, curve = _read_curve(f"calibration.{kind}", curves[kind])
            limit = None
            if kind in thresholds:
                entry = _object(f"threshold.{kind}", thresholds[kind])
                limit = _check_probability(f"threshold.{kind}.probability", entry.get("probability"))
            scales[kind] = Scale(method, curve, limit)
    return scales


def _entries(name: str, value: object) -> dict[str, Any]:
    """The entries that are not null."""
    found = _object(name, {} if value is None else value)
    return {key: entry for key, entry in found.items() if entry is not None}


def _object(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {value!r:.40}; an object was expected")
    return value


def _read_curve(name: str, value: object) -> tuple[str, Curve]:
    entry = {key: given for key, given in _object(name, value).items() if key != "dev"}
    method = entry.pop("method", None)
    if method not in CURVES:
        raise ValueError(f"{name}.method is {method!r}; one of {', '.join(CURVES)} was expected")
    given: dict[str, Any] = {
        key: tuple(part) if isinstance(part, list) else part for key, part in entry.items()
    }
    try:
        return method, CURVES[method](**given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} ({method}): {error}") from None


def _check_number(name: str, value: object, above: float | None = None) -> None:
    if not is_finite_number(value):
        raise ValueError(f"{name} is {value!r:.40}; a finite number was expected")
    if above is not None and not value > above:  # type: ignore[operator]
        raise ValueError(f"{name} is {value}; a number above {above:g} was expected")


def _check_probability(name: str, value: object) -> float:
    if not is_finite_number(value) or not 0 <= value <= 1:  # type: ignore[operator]
        raise ValueError(f"{name} is {value!r:.40}; a number from 0 to 1 was expected")
    return float(value)  # type: ignore[arg-type]
