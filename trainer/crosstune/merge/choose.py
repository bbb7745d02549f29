"""Which of the models on the line is taken, and what can be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from crosstune.evaluate import compare, mean
from crosstune.evaluate.significance import interval, verdict

MEASURE = "nDCG@10"
RULE = (
    "the alpha with the highest mean of two shares: dev nDCG@10 in the tuned model's own domain as a share "
    "of the best that any alpha has there, and the same on the probe's dev; at a tie the nearer to the base"
)
DOMAINS = ("domain", "probe")
PerAlpha = Mapping[float, Mapping[str, float]]
"""alpha -> query id -> nDCG@10."""


@dataclass(frozen=True)
class Point:
    """An alpha: nDCG@10 in both domains with the 95 % bootstrap interval over queries, and what the rule
    makes of it."""

    alpha: float
    domain: float
    domain_interval: tuple[float, float]
    probe: float
    probe_interval: tuple[float, float]
    value: float


def points(values: Mapping[str, PerAlpha], seed: int, resamples: int) -> list[Point]:
    """One for each alpha, rising. `values`: of both `DOMAINS`."""
    means = {name: {alpha: mean(found) for alpha, found in values[name].items()} for name in DOMAINS}
    best = {name: max(means[name].values()) or 1.0 for name in DOMAINS}
    found = []
    for alpha in sorted(means["domain"]):
        shares = [means[name][alpha] / best[name] for name in DOMAINS]
        spans = [interval([*values[name][alpha].values()], seed, resamples) for name in DOMAINS]
        of_domain, of_probe = (means[name][alpha] for name in DOMAINS)
        found.append(Point(alpha, of_domain, spans[0], of_probe, spans[1], sum(shares) / 2))
    return found


def chosen(curve: Sequence[Point]) -> Point:
    """By `RULE`."""
    return max(curve, key=lambda point: (point.value, -point.alpha))


def differences(
    values: Mapping[str, PerAlpha], alpha: float, seed: int, resamples: int
) -> dict[str, dict[str, Any]]:
    """Domain -> the chosen model against `base` and against `tuned`, paired over the dev queries. They chose
    it, which flatters it."""
    found: dict[str, dict[str, Any]] = {}
    for name in DOMAINS:
        found[name] = {}
        for other, end in (("base", 0.0), ("tuned", 1.0)):
            comparison = compare(values[name][end], values[name][alpha], seed, resamples)
            found[name][other] = {**asdict(comparison), "verdict": verdict(comparison, comparison.p)}
    return found
