"""The evaluation of a published procedure: its own measure, a first stage, and the published figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import Field

from crosstune.evaluate.measures import PerQuery, mean
from crosstune.evaluate.significance import compare, holm, verdict
from crosstune.settings import Settings

NAMES = {"first_stage": "first stage", "tuned": "tuned", "ceiling": "ceiling"}


class PublishedFigure(Settings):
    """What a reproduction is held to."""

    figure: float | None = Field(None, ge=0, le=1, description="published value of the headline measure")
    tolerance: float = Field(0.01, ge=0, le=1, description="difference to it that counts as reproduced")
    resamples: int = Field(10_000, ge=100, description="of the randomisation test and the bootstrap")


def reproduction_metrics(
    systems: Mapping[str, PerQuery], split: str, settings: PublishedFigure, seed: int
) -> dict[str, Any]:
    """What `metrics.json` holds. `systems`: tuned, ceiling and, where there is one, first_stage -> measure ->
    query id -> value; the first measure is the headline."""
    headline = next(iter(systems["tuned"]))
    means = {
        name: {m: mean(values) for m, values in systems[name].items()} for name in NAMES if name in systems
    }
    return {
        "schema": 1,
        "splits": {split: means},
        "headline": headline,
        "queries": len(systems["tuned"][headline]),
        "comparison": _comparison(systems, settings.resamples, seed),
        "published": _published(means["tuned"][headline], settings),
    }


def _comparison(systems: Mapping[str, PerQuery], resamples: int, seed: int) -> dict[str, Any]:
    if "first_stage" not in systems:
        return {}
    first, tuned = systems["first_stage"], systems["tuned"]
    found = {measure: compare(first[measure], tuned[measure], seed, resamples) for measure in tuned}
    corrected = holm({measure: comparison.p for measure, comparison in found.items()})
    return {
        "tuned against first_stage": {
            m: {**asdict(c), "p_holm": corrected[m], "verdict": verdict(c, corrected[m])}
            for m, c in found.items()
        }
    }


def _published(value: float, settings: PublishedFigure) -> dict[str, Any] | None:
    if settings.figure is None:
        return None
    return {
        "figure": settings.figure,
        "tolerance": settings.tolerance,
        "reproduced": abs(value - settings.figure) <= settings.tolerance,
    }


def render_reproduction(metrics: Mapping[str, Any]) -> str:
    """The systems, one a line, the gain with its interval, and the published figure."""
    ((split, systems),) = metrics["splits"].items()
    headline, measures = metrics["headline"], list(systems["tuned"])
    title = f"{split}, {metrics['queries']} queries"
    lines = ["".join([f"{title:<24}", *(f"{m:>9}" for m in measures)])]
    for name, label in NAMES.items():
        if name in systems:
            lines.append("".join([f"{label:<24}", *(f"{systems[name][m]:9.4f}" for m in measures)]))
    if metrics["comparison"]:
        gain = metrics["comparison"]["tuned against first_stage"][headline]
        lines += [
            "",
            f"gain over the first stage: {gain['difference']:+.4f} {headline}, 95 % interval "
            f"[{gain['low']:+.4f}, {gain['high']:+.4f}], p = {gain['p_holm']:.2g}: {gain['verdict']}",
        ]
    if published := metrics["published"]:
        word = "reproduced" if published["reproduced"] else "NOT reproduced, see docs/reproduce.md"
        lines.append(
            f"published {headline}: {published['figure']:.4f} (tolerance "
            f"{published['tolerance']:.4f}): {word}"
        )
    return "\n".join(lines)
